"""Training stream: the sequence of batches of a run.

A resumed run continues the sequence exactly. The state of a run is a single number: the batches done. It increases at
the end of every batch and is saved in every checkpoint. The lenses of a batch, the learning rate and the state of the
global random generators depend only on this number. Lightning's own loop counters are left out of checkpoints. They
would restart the loader but not the batch index within an epoch, count one step for each optimiser, and be off by one
after an interrupt.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset

from lenskit.data.training_set import Share, TrainingSet
from lenskit.kinds.method import Budget, Method
from lenskit.kinds.pairs import Batch
from lenskit.training.accumulation import Parts

_COUNTS = ("ready", "started", "processed", "completed")


class Stream(pl.LightningDataModule):
    """Data module that yields the batches of a training set.

    The stream starts at the first batch that is not done.

    Args:
        training_set: Training set that makes the batches.
        budget: Length of the run.
        parts: Number of parts of a batch; if more than 1, the stream yields `Parts` instead of a `Batch`.
        channels_last: Whether views use the memory format `channels_last`.
        watch_range: Whether to record the lowest and the highest pixel value.
    """

    def __init__(
        self,
        training_set: TrainingSet,
        budget: Budget,
        parts: int = 1,
        channels_last: bool = False,
        watch_range: bool = False,
    ) -> None:
        super().__init__()
        self.training_set, self.budget, self.parts = training_set, budget, parts
        self.channels_last, self.watch_range = channels_last, watch_range
        self.reach: Tensor | None = None
        """Largest pixel values below and above zero, (2,). On the device, so that no step waits for it."""
        self.batches = 0

    @property
    def trainer_(self) -> pl.Trainer:
        assert self.trainer is not None, "the stream is attached to no trainer"
        return self.trainer

    def state_dict(self) -> dict[str, Any]:
        return {"batches": self.batches}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.batches = int(state_dict["batches"])
        epoch = self.batches // self.budget.batches_per_epoch
        counters = self.trainer_.fit_loop.epoch_progress
        counters.load_state_dict({"total": dict.fromkeys(_COUNTS, epoch), "current": dict.fromkeys(_COUNTS, epoch)})

    def train_dataloader(self) -> DataLoader:
        self.training_set.to(self.trainer_.strategy.root_device)
        share = Share(self.budget.batch_size // self.parts, self.trainer_.global_rank, self.trainer_.world_size)
        self.training_set.share = share
        return DataLoader(_Places(self, share), batch_size=None)

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Batch | Parts:
        return self.make(batch[0]) if self.parts == 1 else Parts(batch, self.make)

    def make(self, fetched: dict[str, Any]) -> Batch:
        """Return a batch or a part of a batch, in the network's format.

        The views have the network's precision and memory format.

        Args:
            fetched: Tensors that `TrainingSet.fetch` returned for these lenses.
        """
        made = self.trainer_.precision_plugin.convert_input(self.training_set.batch(fetched))
        if self.watch_range:
            reach = torch.stack([torch.stack([-view.min(), view.max()]) for view in made.views]).amax(0)
            self.reach = reach if self.reach is None else self.reach.maximum(reach)
        if not self.channels_last:
            return made
        return replace(made, views=tuple(view.contiguous(memory_format=torch.channels_last) for view in made.views))


class _Places(IterableDataset):
    """Data that the host fetches for the batches up to the end of an epoch.

    Iteration starts at the present batch and yields a list with one entry for each part. Each process fetches its share
    of each part. The lenses of a batch do not depend on the numbers of parts and processes. The data set has no length,
    because a resumed epoch is shorter than the others.
    """

    def __init__(self, stream: Stream, share: Share) -> None:
        self.stream, self.share = stream, share

    def __iter__(self) -> Iterator[list[dict[str, Any]]]:
        start, per_epoch, parts = self.stream.batches, self.stream.budget.batches_per_epoch, self.stream.parts
        for batch in range(start, (start // per_epoch + 1) * per_epoch):
            numbers = range(batch * parts, (batch + 1) * parts)
            yield [self.stream.training_set.fetch(self.share.of_batch(number)) for number in numbers]


class BatchCounter(pl.Callback):
    """Callback that counts the batches done.

    The callback also sets learning rates, weight decays and random seeds from the count. It must be the first callback.

    Args:
        stream: Stream whose `batches` is increased.
        seed: Random seed of the run.
    """

    def __init__(self, stream: Stream, seed: int) -> None:
        self.stream, self.seed = stream, seed

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        for optimizer in trainer.optimizers:
            for group in optimizer.param_groups:
                group.setdefault("peak_lr", group["lr"])
                group.setdefault("peak_weight_decay", group.get("weight_decay", 0.0))

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        assert isinstance(pl_module, Method)
        batches = self.stream.batches
        pl_module.batches = batches
        for optimizer in trainer.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = pl_module.learning_rate(group, batches)
                if "weight_decay" in group:
                    group["weight_decay"] = pl_module.weight_decay(group, batches)
        seed_generators(self.seed, batches, trainer.global_rank)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        assert isinstance(pl_module, Method)
        pl_module.after_update()
        self.stream.batches += 1

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        checkpoint.pop("loops", None)


def seed_generators(seed: int, batches: int, rank: int) -> None:
    """Seed the global random generators for one batch of one process.

    Dropout, sampling and masks depend on these generators.

    Args:
        seed: Random seed of the run.
        batches: Batches done.
        rank: Number of the process.
    """
    words = np.random.SeedSequence([seed & 0xFFFFFFFF, batches, rank]).generate_state(2, np.uint32)
    value = int(words[0]) << 32 | int(words[1])
    # Not torch.manual_seed: it records the entire call stack for each type of device not in use, which is slow.
    torch.default_generator.manual_seed(value)
    for device in (torch.cuda, torch.xpu):
        if device.is_initialized():
            device.manual_seed_all(value)
    if torch.backends.mps.is_available():
        torch.mps.manual_seed(value)
    random.seed(value)
    np.random.seed(int(words[0]))
