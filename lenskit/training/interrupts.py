"""Stop of a run after a signal, such as Ctrl-C or a cluster's SIGTERM."""

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
"""Ctrl-C sends SIGINT. `kill`, `scancel` and the end of a job's time send SIGTERM. `sbatch --signal=USR1@120` sends
SIGUSR1 two minutes before the end."""


class Stopping(pl.Callback):
    """Callback that stops a run at the end of the batch in which a signal arrived.

    It must be the last callback. If one of several processes receives a signal or sets `trainer.should_stop`, all
    processes stop after the same batch.

    Args:
        every: On GPUs, batches between two exchanges of stop requests, for which the hosts have to wait. On CPUs, the
            processes exchange requests after each batch.
    """

    def __init__(self, every: int) -> None:
        self.every = every
        self.signal = 0
        """Number of the signal that arrived, or 0."""
        self._asked = self._pressed = False

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        # Not earlier, because Lightning has just set its own handlers. At the end it restores the previous ones.
        with suppress(ValueError):  # only the main thread can set handlers
            for number in SIGNALS:
                signal.signal(number, self._hear)
        # Lightning's processes exchange SIGTERMs before each batch, and a GPU's host would have to wait for that.
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
        # A cluster may send its signal more than once, which changes nothing. A second Ctrl-C stops at once.
        if number == signal.SIGINT and self._pressed:
            raise KeyboardInterrupt
        self._pressed |= number == signal.SIGINT
        if not self.signal and is_first():
            again = "; press Ctrl-C again to stop at once" if self._pressed else ""
            log.warning("stopping at the end of this batch%s", again)
        self.signal = self.signal or number


@contextmanager
def restored_signals() -> Iterator[None]:
    """Restore the signal handlers at the end of the context.

    Lightning turns a KeyboardInterrupt into SystemExit; the context turns it back.

    Raises:
        KeyboardInterrupt: Instead of SystemExit.
    """
    before = {number: signal.getsignal(number) for number in SIGNALS}
    try:
        yield
    except SystemExit:
        raise KeyboardInterrupt from None
    finally:
        with suppress(ValueError):
            for number, handler in before.items():
                signal.signal(number, handler)
