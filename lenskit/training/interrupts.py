"""Stops a run at the end of a batch when a signal asks for it: Ctrl-C, or a cluster that wants its nodes back."""

from __future__ import annotations

import logging
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytorch_lightning as pl
import torch

from lenskit.kinds.method import Method
from lenskit.training.processes import is_first, largest

log = logging.getLogger("lenskit")

SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGUSR1") if hasattr(signal, name))
"""Ctrl-C; `kill`, `scancel` and the end of a job's time; what `sbatch --signal=USR1@120` sends before that."""


class Stopping(pl.Callback):
    """Stops a run at the end of the batch in which a signal came, where it is saved. Comes last among callbacks.

    A signal may reach one process of several: they tell each other, and all stop after the same batch. So they do when
    `trainer.should_stop` is set in one of them.

    Args:
        every: How often processes on GPUs tell each other, in batches, as their hosts have to wait for it. On CPUs
            they do after each batch.
    """

    def __init__(self, every: int) -> None:
        self.every = every
        self.signal = 0
        """Number of the signal that came, or 0."""
        self._asked = self._pressed = False

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        # Now, because Lightning has just set handlers of its own. It gives back the ones from before at the end.
        with suppress(ValueError):  # not in the main thread, where signals are not ours to handle
            for number in SIGNALS:
                signal.signal(number, self._hear)
        # Lightning's processes tell each other of a SIGTERM before each batch, for which a GPU's host has to wait.
        loop: Any = trainer.fit_loop.epoch_loop
        if hasattr(loop, "_broadcast_sigterm_tensor"):
            loop._broadcast_sigterm_tensor = lambda: None

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self._asked |= trainer.should_stop
        trainer.should_stop = False
        if trainer.world_size > 1:
            assert isinstance(pl_module, Method)
            device = trainer.strategy.root_device
            if device.type != "cpu" and (pl_module.batches + 1) % self.every:
                return
            asked, number = largest(torch.tensor([self._asked, self.signal], device=device)).tolist()
            self._asked, self.signal = bool(asked), number
        trainer.should_stop = self._asked or self.signal > 0

    def _hear(self, number: int, frame: Any) -> None:
        # Clusters may send theirs more than once, which changes nothing; a second Ctrl-C is meant.
        if number == signal.SIGINT and self._pressed:
            raise KeyboardInterrupt
        self._pressed |= number == signal.SIGINT
        if not self.signal and is_first():
            again = "; press Ctrl-C again to stop at once" if self._pressed else ""
            log.warning("stopping at the end of this batch%s", again)
        self.signal = self.signal or number


@contextmanager
def restored_signals() -> Iterator[None]:
    """Gives signals back to who handled them before, and makes a KeyboardInterrupt again of what Lightning makes of
    one."""
    before = {number: signal.getsignal(number) for number in SIGNALS}
    try:
        yield
    except SystemExit:
        raise KeyboardInterrupt from None
    finally:
        with suppress(ValueError):
            for number, handler in before.items():
                signal.signal(number, handler)
