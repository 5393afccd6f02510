"""Batches that are learned from in parts, one after the other, because a whole one does not fit into memory.

To everything else a batch stays one batch: what hangs on the Trainer counts, saves and stops at whole ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from functools import partial
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.strategies import ParallelStrategy
from torch import Tensor

from lenskit.kinds.pairs import Batch


class Parts:
    """A batch in parts, each of which is made when it is asked for.

    Args:
        fetched: What the host contributes to each.
        make: Makes a part of that.
    """

    def __init__(self, fetched: Sequence[dict[str, Any]], make: Callable[[dict[str, Any]], Batch]) -> None:
        self.fetched, self.make = fetched, make

    def __iter__(self) -> Iterator[Batch]:
        return map(self.make, self.fetched)


class Accumulation(pl.Callback):
    """Has a method learn from each part of a batch, and the optimiser step once for all.

    The gradient is that of the mean over the parts. Lightning's own accumulation would make a batch of each part: for
    schedules, figures, checkpoints, and for where a run can be stopped.
    """

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        # Three hooks of the module are where Lightning lets one in between a batch and the optimiser's step.
        method: Any = pl_module
        self._step, self._optimize, self._clear = (
            method.training_step, method.optimizer_step, method.optimizer_zero_grad,
        )  # fmt: skip
        method.training_step, method.optimizer_step, method.optimizer_zero_grad = (
            self.training_step, self.optimizer_step, self.optimizer_zero_grad,
        )  # fmt: skip
        self.strategy = trainer.strategy

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        self._parts = batch
        self._outputs: list[dict[str, Any]] = []

    def optimizer_step(
        self, epoch: int, batch_index: int, optimizer: Any, optimizer_closure: Callable[[], Any] | None = None
    ) -> None:
        assert optimizer_closure is not None
        self._optimize(epoch, batch_index, optimizer, partial(self._learn, optimizer_closure))

    def _learn(self, closure: Callable[[], Any]) -> Any:
        """Takes each part forwards and backwards; processes exchange gradients with the last."""
        result = None
        for number, part in enumerate(self._parts, 1):
            self._part = part
            more = number < len(self._parts.fetched) and isinstance(self.strategy, ParallelStrategy)
            with self.strategy.block_backward_sync() if more else nullcontext():  # type: ignore[attr-defined]
                result = closure()
        return result

    def optimizer_zero_grad(self, epoch: int, batch_index: int, optimizer: torch.optim.Optimizer) -> None:
        if len(self._outputs) == 1:  # what is called between the first part's two halves
            self._clear(epoch, batch_index, optimizer)

    def training_step(self, batch: Parts, batch_index: int) -> dict[str, Any]:
        """One part's share of the loss; with the last part the value of all, and what else the parts gave."""
        count = len(batch.fetched)
        outputs = dict(self._step(self._part, batch_index))
        share = outputs.pop("loss") / count
        self._outputs.append({"loss": share.detach(), **outputs})
        if len(self._outputs) < count:
            return {"loss": share}
        before = torch.stack([part["loss"] for part in self._outputs[:-1]]).sum()
        return {"loss": share + before} | {name: _joined([part[name] for part in self._outputs]) for name in outputs}


def _joined(values: list[Any]) -> Any:
    """A scalar's mean over the parts, the rows of all, or, of anything else, the last."""
    if not isinstance(values[-1], Tensor):
        return values[-1]
    return torch.stack(values).float().mean() if values[-1].ndim == 0 else torch.cat(values)
