"""Callbacks that record a run's metrics and save its checkpoints."""

from __future__ import annotations

import io
import itertools
import json
import logging
import os
import time
from pathlib import Path
from typing import Any, Protocol

import pytorch_lightning as pl
import torch
from pytorch_lightning.plugins.io import TorchCheckpointIO
from torch import Tensor

from lenskit.checksums import seal_archive
from lenskit.contracts.method import check_gradient
from lenskit.encoder import Encoder
from lenskit.errors import LenskitError
from lenskit.figures import Figures, read_figures
from lenskit.files import write_atomically
from lenskit.kinds.method import Method
from lenskit.run import Run
from lenskit.settings import MonitorSettings
from lenskit.training.bad_images import bad_images
from lenskit.training.collapse import CollapseMonitor
from lenskit.training.loggers import Loggers
from lenskit.training.processes import largest, mean, processes
from lenskit.training.stream import Stream

log = logging.getLogger("lenskit")

RANK_EVERY = 5
"""Lines of metrics between two measurements of the effective rank, which takes more time than all other metrics."""


class Display(Protocol):
    """Protocol of a display that shows a run's metrics during training."""

    def advance(self, batches: int) -> None: ...

    def update(self, batches: int, figures: dict[str, float]) -> None: ...


class Monitor(pl.Callback):
    """Callback that measures loss, rate and collapse.

    The metrics are measured every `settings.log_every` batches. They go to `metrics.jsonl`, the loggers and the
    display. On a GPU, nothing is read back between two lines of metrics, so a step never waits for the host. The device
    remembers the first batch whose loss is not finite; the error is raised with the next line of metrics or before the
    next checkpoint.

    Args:
        run: Run whose directory holds `metrics.jsonl`.
        stream: Training stream, with the number of batches done.
        display: Display of the metrics; None for no display.
        settings: Interval of the metrics, loggers, and whether a collapse stops the run.
    """

    def __init__(self, run: Run, stream: Stream, display: Display | None, settings: MonitorSettings) -> None:
        self.run, self.stream, self.display, self.settings = run, stream, display, settings
        self.every = settings.log_every
        self.collapse = CollapseMonitor()
        self._losses: list[Tensor] = []
        self._warned = False
        self._met = False
        self._bad: Tensor | None = None
        self._loggers: Loggers | None = None
        self.stopped: str | None = None
        """Reason why a collapse stopped the run; None if none did."""

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._start, self._timed_from = time.monotonic(), self.stream.batches
        self._losses = [loss.to(pl_module.device) for loss in self._losses]  # losses from a checkpoint are on the CPU
        if trainer.is_global_zero:
            _drop_lines_after(self.path, self.stream.batches)
            self._loggers = Loggers(self.settings.loggers, self.run, self.stream.batches)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self._loggers:
            self._loggers.close("success")

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        if self._loggers:
            self._loggers.close("failed")

    def state_dict(self) -> dict[str, Any]:
        """Return the losses since the last line, and the collapse monitor's state.

        With this state, a resumed run writes the same metrics as a run that was never stopped, except for the rate.
        """
        # Only the first process saves its state, but each process has the losses of its own lenses. With several
        # processes no losses are saved: the first line of a resumed run covers fewer batches. Gathering the losses
        # here would make the processes wait for each other.
        losses = self._losses if processes() == 1 else []
        return {
            "losses": torch.stack(losses).cpu() if losses else torch.empty(0),
            "warned": self._warned,
            "collapse": self.collapse.state_dict(),
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._losses, self._warned = list(state_dict["losses"]), state_dict["warned"]
        self.collapse.load_state_dict(state_dict["collapse"])

    @property
    def path(self) -> Path:
        return self.run.path / "metrics.jsonl"

    def on_after_backward(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        assert isinstance(pl_module, Method)
        if not self._met and pl_module.automatic_optimization:
            check_gradient(pl_module)
        self._met = True

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        loss = outputs["loss"].detach()
        self._losses.append(loss)
        done = self.stream.batches
        bad = torch.full_like(loss, -1, dtype=torch.int64) if self._bad is None else self._bad
        # The processes share this number, so that all raise the same error.
        self._bad = largest(torch.where(loss.isfinite() | (bad >= 0), bad, done - 1))
        if "embedding" in outputs:
            self.collapse.add(outputs["embedding"])
        if self.display:
            self.display.advance(done)
        last = done == self.stream.budget.batches
        if loss.device.type == "cpu" or done % self.every == 0 or last:
            self.check(pl_module)
        if done % self.every == 0 or last:
            self._measure(trainer, outputs)
            self._warn_or_stop(trainer)

    def check(self, method: Any) -> None:
        """Check the losses and the range of the images.

        Raises:
            LenskitError: A loss is not finite. The message names the batch, the last good checkpoint and a remedy.
            UsageError: The method rejects the images, see `Method.check_range`.
        """
        if self._bad is not None and (first := int(self._bad)) >= 0:
            raise self._not_finite(f"the loss of batch {first}", first, method.device)
        if self.stream.reach is not None:
            below, above = largest(self.stream.reach).tolist()
            method.check_range(-below, above)

    def check_weights(self, module: pl.LightningModule) -> None:
        """Check that all weights are finite.

        The loss shows a weight that is not finite only one batch later.

        Raises:
            LenskitError: A weight is not finite. The message is as in `check`.
        """
        if not torch.stack([parameter.isfinite().all() for parameter in module.parameters()]).all():
            last = self.stream.batches - 1
            raise self._not_finite(f"a weight after batch {last}", last, module.device)

    def _not_finite(self, what: str, batch: int, device: torch.device) -> LenskitError:
        epoch = batch // self.stream.budget.batches_per_epoch
        checkpoint = self.run.checkpoint
        good = f"the last good checkpoint is {checkpoint}" if checkpoint.is_file() else "there is no checkpoint yet"
        if why := bad_images(self.stream.training_set, self.stream.budget.batch_size, batch, device):
            return LenskitError(f"{what} (epoch {epoch}) is not finite: {why}; {good}")
        # A method that builds its own optimisers does not use lenskit's warm-up.
        other = ", --precision 32-true, or a longer warm-up" if self.lr == "--lr" else " or --precision 32-true"
        return LenskitError(f"{what} (epoch {epoch}) is not finite; {good}; try a lower {self.lr}{other}")

    @property
    def lr(self) -> str:
        """Option that sets the learning rate, of the optimiser or of the method."""
        return "--lr" if "optimizer" in self.run.config.sections else "--set method.lr"

    def _measure(self, trainer: pl.Trainer, outputs: dict[str, Any]) -> None:
        now = time.monotonic()
        budget, done = self.stream.budget, self.stream.batches
        figures: dict[str, float] = {
            "loss": float(mean(torch.stack(self._losses).mean())),
            "rate": (done - self._timed_from) * budget.batch_size / (now - self._start),
            "lr": trainer.optimizers[0].param_groups[0]["lr"],
        }
        figures |= {
            name: float(mean(value.detach().float()))
            for name, value in outputs.items()
            if name != "loss" and isinstance(value, Tensor) and value.numel() == 1
        }
        often = self.every * RANK_EVERY
        figures |= self.collapse.measure(outputs.get("projection"), rank=done % often == 0 or done == budget.batches)
        self._losses, self._start, self._timed_from = [], now, done
        if trainer.is_global_zero:
            self.record(figures)

    def record(self, figures: dict[str, float]) -> None:
        """Write metrics of the current batch to file, loggers and display.

        Only the first process may call this.

        Args:
            figures: Metrics by name.

        Raises:
            LenskitError: The run directory is gone, or `metrics.jsonl` cannot be written.
        """
        done = self.stream.batches
        line = {"batches": done, "epoch": round(done / self.stream.budget.batches_per_epoch, 4)} | figures
        self.run.check_there()
        try:
            with self.path.open("a") as file:
                file.write(json.dumps(line) + "\n")
        except OSError as error:
            raise LenskitError(f"{self.path} cannot be written: {error.strerror}") from error
        if self._loggers:
            self._loggers.write(done, figures)
        if self.display:
            self.display.update(done, figures)

    def leave_out(self, seconds: float) -> None:
        """Exclude some seconds from the rate, because they were not spent on training."""
        self._start += seconds

    def _warn_or_stop(self, trainer: pl.Trainer) -> None:
        collapsed = self.collapse.collapsed
        if self.settings.stop_on_collapse:
            if collapsed:  # the same in all processes, because they measure the lenses of all
                self.stopped = f"{collapsed} at batch {self.stream.batches}"
                trainer.should_stop = True
        elif collapsed and not self._warned and trainer.is_global_zero:
            self._warned = True
            log.warning(
                "%s at batch %d. The loss does not show this. Try a lower %s, a larger --batch-size, or a different "
                "method; use --stop-on-collapse to stop such a run.",
                collapsed,
                self.stream.batches,
                self.lr,
            )


class Checkpoints(pl.Callback):
    """Callback that saves the checkpoint and the encoder.

    The callback saves every `every` batches, at the end of every epoch and when a run is stopped.

    Args:
        run: Run to save.
        stream: Training stream, with the number of batches done.
        monitor: Monitor that checks losses and weights before each save.
        encoder: Encoder to save.
        every: Batches between two checkpoints.
    """

    def __init__(self, run: Run, stream: Stream, monitor: Monitor, encoder: Encoder, every: int) -> None:
        self.run, self.stream, self.monitor, self.encoder, self.every = run, stream, monitor, encoder, every

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        # The first process created the directory; the others may have another path.
        self.run.path = trainer.strategy.broadcast(self.run.path)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._saved = self.stream.batches

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        done, budget = self.stream.batches, self.stream.budget
        if done % self.every == 0 or done % budget.batches_per_epoch == 0:
            self.save(trainer)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        # Lightning calls this also when a run is stopped before its end.
        if self._saved != self.stream.batches:
            self.save(trainer)

    def save(self, trainer: pl.Trainer) -> None:
        """Save the encoder, then the checkpoint.

        A run that is killed between the two resumes from the previous checkpoint and saves the encoder again.

        Raises:
            LenskitError: A loss or a weight is not finite, or the disk is full.
        """
        self.monitor.check(trainer.lightning_module)
        self.monitor.check_weights(trainer.lightning_module)
        try:
            if trainer.is_global_zero:
                self.run.check_there()
                self.encoder.card["trained"] = {"batches": self.stream.batches, "of": self.stream.budget.batches}
                self.encoder.save(self.run.path / "encoder")
            trainer.save_checkpoint(self.run.checkpoint)
        except OSError as error:
            raise LenskitError(
                f"the checkpoint cannot be saved in {self.run.checkpoint.parent}: {error.strerror}; earlier "
                "checkpoints are undamaged"
            ) from error
        self._saved = self.stream.batches

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        checkpoint["lenskit"] = {"config": self.run.config.sections, "batches": self.stream.batches}


class WholeFiles(TorchCheckpointIO):
    """Checkpoint writer that replaces the old checkpoint atomically.

    Lightning's own writer uses the system's temporary folder, which may be small. If Lightning is killed, it leaves
    the new checkpoint there.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        # Write to memory first, as in Lightning: torch's writer hides the reason when it cannot write to disk.
        buffer = io.BytesIO()
        torch.save(checkpoint, buffer)
        Path(path).parent.mkdir(exist_ok=True)
        write_atomically(Path(path), seal_archive(buffer))


def _drop_lines_after(path: Path, batches: int) -> None:
    """Drop the lines of batches that a resumed run repeats.

    A last line that was cut short is dropped too. A damaged file is renamed and kept; its readable lines go into the
    new file.
    """
    if not os.path.lexists(path):
        return
    try:
        figures = read_figures(path)
    except LenskitError as error:
        figures = Figures(faults=[str(error)])
    if figures.faults:
        aside = _aside(path)
        path.rename(aside)
        log.warning("%s is damaged (%s): it is kept as %s; a new file continues", path, figures.faults[0], aside)
    lines = (json.dumps(line) + "\n" for line in figures.lines if line["batches"] <= batches)
    write_atomically(path, "".join(lines))


def _aside(path: Path) -> Path:
    """Return the first of `NAME.1`, `NAME.2`, ... that does not exist."""
    numbers = itertools.count(1)
    return next(free for number in numbers if not os.path.lexists(free := path.with_name(f"{path.name}.{number}")))
