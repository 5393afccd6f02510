"""Trains: builds what a configuration names and hands it to Lightning's Trainer."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch

from lenskit.config import Config
from lenskit.data.preprocess import Preprocess
from lenskit.data.source import LiveSource, Source, StoredSource
from lenskit.encoder import Encoder
from lenskit.errors import UsageError
from lenskit.kinds.backbone import Backbone
from lenskit.kinds.method import Budget, Method
from lenskit.run import Run
from lenskit.training.callbacks import Checkpoints, Monitor, stop_on_interrupt
from lenskit.training.devices import is_first, let_first_speak, make_trainer, quiet_lightning
from lenskit.training.display import TrainingDisplay
from lenskit.training.settings import InputSettings, MonitorSettings, TrainSettings
from lenskit.training.stream import Clock, Stream

log = logging.getLogger("lenskit")

LIVE_LENSES = 10_000
"""Lenses an epoch of live simulation, when nothing is said."""


def train(config: Config, out: Path, *, overwrite: bool = False, progress: bool = True) -> Run:
    """Trains a new run.

    Args:
        config: What to train.
        out: The run directory to make.
        overwrite: Whether to replace a run that is there.
        progress: Whether to draw a progress bar.

    Returns:
        The run, finished or stopped by an interrupt (`Run.finished` tells).

    Raises:
        LenskitError: with one line that says what was wrong.
    """
    let_first_speak()
    job = Job(config)
    # Only the first process of several makes the directory; it tells the others.
    run = Run.create(out, config, overwrite) if is_first() else Run(out, config)
    return job.fit(run, None, progress)


class Job:
    """A configuration, built: everything is checked here, before anything is written.

    Args:
        config: What to build.
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        self.settings: TrainSettings = config.build("train")
        self.monitor: MonitorSettings = config.build("monitor")
        inputs: InputSettings = config.build("input")
        preprocess = Preprocess(inputs.stretch, inputs.size)
        pairs = config.build("pairs")
        # Built before the seed is set, so that a source that draws cannot change the initial weights.
        self.source = self._source(pairs, preprocess, inputs)
        channels, height, width = self.source.image_shape
        if height != width and inputs.size is None:
            raise UsageError(f"the images are {height} x {width} pixels: say --set input.size=N to make them square")
        torch.manual_seed(self.settings.seed)
        backbone: Backbone = config.build("backbone", channels, inputs.size or height)
        self.method: Method = config.build("method", backbone)
        if self.method.views != pairs.views:
            raise UsageError(
                f"method {config.name('method')!r} takes {self.method.views} view(s) of each lens, "
                f"pairs {config.name('pairs')!r} make {pairs.views}"
            )
        self.budget = self._budget()
        self.method.budget, self.method.seed = self.budget, self.settings.seed
        if "optimizer" in config.sections:
            self.method.optimization = config.build("optimizer")
        self.method.prepare(self.source.parameters, self.source.truth)
        with quiet_lightning():
            # Only to see that there are such devices, and room on them, before anything is written.
            self.source.check(make_trainer(self.settings, self.budget.epochs).strategy.root_device)
        card = {
            "backbone": {k: v for k, v in config.sections["backbone"].items() if k not in backbone.start_options},
            "input": {"stretch": inputs.stretch, "size": inputs.size},
            "method": config.name("method"),
            "pairs": config.name("pairs"),
        }
        self.encoder = Encoder(backbone, preprocess, self.source.image_shape, card)

    def _source(self, pairs: Any, preprocess: Preprocess, inputs: InputSettings) -> Source:
        seed = self.settings.seed
        if "data" in self.config.sections:
            dataset = self.config.build("data", Path(self.config.sections["data"]["path"]))
            return StoredSource(dataset, pairs, preprocess, seed, keep=inputs.keep, workers=inputs.workers)
        return LiveSource(self.config.build("simulator"), pairs, preprocess, seed)

    def _budget(self) -> Budget:
        lenses, batch_size = self.settings.lenses, self.settings.batch_size
        if isinstance(self.source, StoredSource):
            lenses = lenses or len(self.source.dataset)
        lenses = lenses or LIVE_LENSES
        if lenses < batch_size:
            raise UsageError(
                f"{lenses} lenses an epoch are fewer than a batch of {batch_size}: use --batch-size {lenses} or less"
            )
        return Budget(batch_size, lenses // batch_size, self.settings.epochs)

    def fit(self, run: Run, done: int | None, progress: bool, callbacks: Sequence[pl.Callback] = ()) -> Run:
        """Trains from the start, or from the run's checkpoint if `done` batches are done."""
        settings, budget = self.settings, self.budget
        stream = Stream(self.source, budget)
        display = TrainingDisplay(budget, done or 0) if progress and is_first() else None
        monitor = Monitor(run, stream, display, self.monitor.log_every)
        checkpoints = Checkpoints(run, stream, monitor, self.encoder, settings.checkpoint_every)
        with _log_to(run.path / "train.log") if is_first() else nullcontext(), quiet_lightning():
            log.info(
                "%s: %d epochs of %d batches of %d lenses", run.path, budget.epochs, budget.batches_per_epoch,
                budget.batch_size,
            )  # fmt: skip
            hung = [Clock(stream, settings.seed), monitor, checkpoints, *callbacks]
            trainer = make_trainer(settings, budget.epochs, hung, run.path)
            with stop_on_interrupt(trainer), display or nullcontext():
                path = run.checkpoint if done is not None else None
                try:
                    trainer.fit(self.method, datamodule=stream, ckpt_path=path, weights_only=True)
                finally:
                    self.source.close()
            if stream.batches < budget.batches:
                log.warning(
                    "stopped after %d of %d batches; go on with: lenskit train --resume %s",
                    stream.batches, budget.batches, run.path,
                )  # fmt: skip
        return run


class _LogFile(logging.FileHandler):
    """A log that leaves it to the figures and checkpoints on the same disk to say that it is full."""

    def handleError(self, record: logging.LogRecord) -> None:
        pass

    def close(self) -> None:
        with suppress(OSError):
            super().close()


@contextmanager
def _log_to(path: Path) -> Iterator[None]:
    handler = _LogFile(path)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    log.addHandler(handler)
    try:
        yield
    except BaseException as error:
        # Only to the file: whoever catches it says it on the screen.
        handler.handle(logging.makeLogRecord({"levelname": "ERROR", "msg": f"{type(error).__name__}: {error}"}))
        raise
    finally:
        log.removeHandler(handler)
        handler.close()
