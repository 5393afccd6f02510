"""What happens around each batch: figures, checkpoints, stopping."""

from __future__ import annotations

import json
import logging
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import pytorch_lightning as pl
import torch
from torch import Tensor

from lenskit.encoder import Encoder
from lenskit.errors import LenskitError
from lenskit.run import Run
from lenskit.training.collapse import CollapseMonitor
from lenskit.training.stream import Stream

log = logging.getLogger("lenskit")


class Display(Protocol):
    """Shows a run's figures while it trains."""

    def update(self, batches: int, figures: dict[str, float]) -> None: ...


class Monitor(pl.Callback):
    """Measures: loss, rate and collapse go to `metrics.jsonl` and the display every few batches.

    On a GPU nothing is read back between two such lines, so a step never waits for the host; a loss that is not
    finite is remembered on the device with its batch, and raised at the next line or before the next checkpoint.
    """

    def __init__(self, run: Run, stream: Stream, display: Display | None, every: int) -> None:
        self.path = run.path / "metrics.jsonl"
        self.run, self.stream, self.display, self.every = run, stream, display, every
        self.collapse = CollapseMonitor()
        self._warned = False
        self._bad: Tensor | None = None

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._start = time.monotonic()
        self._losses: list[Tensor] = []
        if trainer.is_global_zero:
            _drop_lines_after(self.path, self.stream.batches)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        loss = outputs["loss"].detach()
        self._losses.append(loss)
        done = self.stream.batches
        bad = torch.full_like(loss, -1, dtype=torch.int64) if self._bad is None else self._bad
        self._bad = torch.where(loss.isfinite() | (bad >= 0), bad, done - 1)
        if "embedding" in outputs:
            self.collapse.add(outputs["embedding"])
        last = done == self.stream.budget.batches
        if loss.device.type == "cpu" or done % self.every == 0 or last:
            self.check()
        if done % self.every == 0 or last:
            self._write(trainer, outputs)

    def check(self) -> None:
        """Raises if a loss was not finite.

        Raises:
            LenskitError: naming the batch, the last good checkpoint and what to try.
        """
        if self._bad is None or (first := int(self._bad)) < 0:
            return
        epoch = first // self.stream.budget.batches_per_epoch
        checkpoint = self.run.checkpoint
        good = f"the last good checkpoint is {checkpoint}" if checkpoint.is_file() else "there is no checkpoint yet"
        raise LenskitError(
            f"the loss of batch {first} (epoch {epoch}) is not finite; {good}; try a lower --lr, "
            "--precision 32-true, or a longer warm-up"
        )

    def _write(self, trainer: pl.Trainer, outputs: dict[str, Any]) -> None:
        now = time.monotonic()
        budget, done = self.stream.budget, self.stream.batches
        figures: dict[str, float] = {
            "loss": float(torch.stack(self._losses).mean()),
            "rate": len(self._losses) * budget.batch_size / (now - self._start),
            "lr": trainer.optimizers[0].param_groups[0]["lr"],
        }
        figures |= {
            name: float(value)
            for name, value in outputs.items()
            if name != "loss" and isinstance(value, Tensor) and value.numel() == 1
        }
        figures |= self.collapse.measure(outputs.get("projection"))
        self._losses, self._start = [], now
        if not trainer.is_global_zero:
            return
        line = {"batches": done, "epoch": round(done / budget.batches_per_epoch, 4)} | figures
        with self.path.open("a") as file:
            file.write(json.dumps(line) + "\n")
        if self.collapse.collapsed and not self._warned:
            self._warned = True
            log.warning(
                "the representation has collapsed: std x sqrt(d) of the projection is %.3f at batch %d (evenly spread "
                "is 1). The loss does not show it. Try a lower --lr, a larger --batch-size, or another method.",
                figures["collapse_std"],
                done,
            )
        if self.display:
            self.display.update(done, figures)


class Checkpoints(pl.Callback):
    """Saves what the run resumes from, and the encoder as it is then: every few batches, at the end of every epoch
    and when the run is asked to stop."""

    def __init__(self, run: Run, stream: Stream, monitor: Monitor, encoder: Encoder, every: int) -> None:
        self.run, self.stream, self.monitor, self.encoder, self.every = run, stream, monitor, encoder, every

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        done, budget = self.stream.batches, self.stream.budget
        if done % self.every == 0 or done % budget.batches_per_epoch == 0 or trainer.should_stop:
            self.monitor.check()
            self.save(trainer)

    def save(self, trainer: pl.Trainer) -> None:
        """Writes the checkpoint beside the old one and then puts it in its place."""
        target = self.run.checkpoint
        temporary = target.with_name(target.name + ".part")
        try:
            trainer.save_checkpoint(temporary)
            if trainer.is_global_zero:
                temporary.replace(target)
                self.encoder.card["trained"] = {"batches": self.stream.batches, "of": self.stream.budget.batches}
                self.encoder.save(self.run.path / "encoder")
        except (OSError, RuntimeError) as error:
            # torch's zip writer reports a full disk as a RuntimeError of its own.
            temporary.unlink(missing_ok=True)
            raise LenskitError(
                f"the checkpoint cannot be saved in {target.parent}: {' '.join(str(error).split())[:200]}; the one "
                "saved before it is unharmed"
            ) from error

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        checkpoint["lenskit"] = {"config": self.run.config.sections, "batches": self.stream.batches}


@contextmanager
def stop_on_interrupt(trainer: pl.Trainer) -> Iterator[None]:
    """Makes Ctrl-C stop the run at the end of its batch; a second one stops it at once."""

    def stop(number: int, frame: Any) -> None:
        if trainer.should_stop:
            raise KeyboardInterrupt
        trainer.should_stop = True
        log.warning("stopping at the end of this batch; press Ctrl-C again to stop at once")

    try:
        before = signal.signal(signal.SIGINT, stop)
    except ValueError:  # not in the main thread, where signals are not ours to handle
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _drop_lines_after(path: Any, batches: int) -> None:
    """Takes back the lines of batches that a resumed run does again, and one that was cut short."""
    if not path.is_file():
        return
    kept = []
    for line in path.read_text().splitlines():
        try:
            if json.loads(line)["batches"] <= batches:
                kept.append(line + "\n")
        except (json.JSONDecodeError, KeyError):
            continue
    path.write_text("".join(kept))
