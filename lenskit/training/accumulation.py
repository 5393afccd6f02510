"""Gradient accumulation for batches that do not fit into memory.

Other callbacks count, save and stop at whole batches, as without accumulation.
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
    """Batch in parts; iteration makes one part at a time.

    Args:
        fetched: Data that the host fetched for each part.
        make: Function that makes a part from its data.
    """

    def __init__(self, fetched: Sequence[dict[str, Any]], make: Callable[[dict[str, Any]], Batch]) -> None:
        self.fetched, self.make = fetched, make

    def __iter__(self) -> Iterator[Batch]:
        return map(self.make, self.fetched)


class Accumulation(pl.Callback):
    """Callback that accumulates the gradients of all parts of a batch.

    The optimiser makes one step for each batch. The gradient is the gradient of the mean loss over the parts.
    Lightning's own accumulation would count each part as a batch in schedules, metrics and checkpoints, and could stop
    a run between parts.
    """

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        # Lightning has no hook between a batch and the optimiser's step, so three methods of the module are wrapped.
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
        """Run forward and backward for each part.

        Processes exchange gradients with the last part only.
        """
        result = None
        for number, part in enumerate(self._parts, 1):
            self._part = part
            more = number < len(self._parts.fetched) and isinstance(self.strategy, ParallelStrategy)
            with self.strategy.block_backward_sync() if more else nullcontext():  # type: ignore[attr-defined]
                result = closure()
        return result

    def optimizer_zero_grad(self, epoch: int, batch_index: int, optimizer: torch.optim.Optimizer) -> None:
        if len(self._outputs) == 1:  # between forward and backward of the first part
            self._clear(epoch, batch_index, optimizer)

    def training_step(self, batch: Parts, batch_index: int) -> dict[str, Any]:
        """Return the share of one part in the loss; at the last part, the whole loss.

        At the last part, the result also has the joined outputs of all parts.
        """
        count = len(batch.fetched)
        outputs = dict(self._step(self._part, batch_index))
        share = outputs.pop("loss") / count
        self._outputs.append({"loss": share.detach(), **outputs})
        if len(self._outputs) < count:
            return {"loss": share}
        before = torch.stack([part["loss"] for part in self._outputs[:-1]]).sum()
        return {"loss": share + before} | {name: _joined([part[name] for part in self._outputs]) for name in outputs}


def _joined(values: list[Any]) -> Any:
    """Join the values of the parts.

    Scalars are averaged and the rows of tensors concatenated. For other types, the last value is returned.
    """
    if not isinstance(values[-1], Tensor):
        return values[-1]
    return torch.stack(values).float().mean() if values[-1].ndim == 0 else torch.cat(values)
