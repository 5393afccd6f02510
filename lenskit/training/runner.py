"""Training of a run with Lightning's Trainer."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch

from lenskit.budget import budget_of, lenses_of
from lenskit.chosen import Chosen
from lenskit.config import Config
from lenskit.contracts.method import meet_method
from lenskit.data.training_set import SimulatedTrainingSet, TrainingSet, simulator_of, training_set_of
from lenskit.encoder import Encoder
from lenskit.errors import LenskitError, UsageError
from lenskit.kinds.backbone import Backbone
from lenskit.kinds.method import Method
from lenskit.lock import held
from lenskit.logs import OneLine
from lenskit.optimization import check_groups, describe
from lenskit.owned_run import check_no_input, check_run_free, sweep
from lenskit.run import Run
from lenskit.settings import MonitorSettings, TrainSettings
from lenskit.training import memory
from lenskit.training.accumulation import Accumulation
from lenskit.training.callbacks import Checkpoints, Monitor
from lenskit.training.checks import check_batch, check_clip, check_views
from lenskit.training.devices import check_batch_norm, make_trainer, quiet_lightning
from lenskit.training.display import TrainingDisplay
from lenskit.training.ema import Averaging
from lenskit.training.interrupts import Stopping, restored_signals
from lenskit.training.loggers import check_installed
from lenskit.training.network import check_precision, compile_backbones
from lenskit.training.probe import Probing, batches_between
from lenskit.training.processes import explained, is_first, let_first_speak
from lenskit.training.sizes import backbone_for
from lenskit.training.stream import BatchCounter, Stream
from lenskit.words import quoted

log = logging.getLogger("lenskit")

LOOKED_AT = 1024
"""Number of images whose range of values is checked before training."""

FEWEST_PIXELS = 4
"""Smallest height and width in pixels of images that a run trains on."""


def train(
    config: Config, out: Path, *, overwrite: bool = False, progress: bool = True, recipe: str | None = None
) -> Run:
    """Train a new run.

    Args:
        config: Configuration of the run.
        out: Run directory to create.
        overwrite: Whether to replace an existing run at `out`.
        progress: Whether to show a progress bar.
        recipe: Name of the recipe of the configuration, which is recorded in the run.

    Returns:
        The run. It is finished, or a signal stopped it; see `Run.finished`.

    Raises:
        LenskitError: The configuration is invalid, the output directory cannot be used, or training failed. The message
            has one line.
    """
    let_first_speak()
    if is_first():
        check_run_free(out, overwrite)  # before any work
        check_no_input(out, config)
    job = build(config)
    # Only the first process creates the directory. `Checkpoints.setup` broadcasts its path to all processes.
    run = Run.create(out, config, overwrite, recipe) if is_first() else Run(out, config)
    return job.fit(run, None, progress)


def build(config: Config) -> Job:
    """Build the components of a configuration and check them.

    Raises:
        LenskitError: The configuration is invalid, or there is not enough memory.
    """
    name = config.name("method")
    with memory.building(
        "the network", f"use a smaller --backbone, or smaller widths or a smaller queue of method {name!r}"
    ):
        return Job(config)


class Job:
    """Training job, with the components of a configuration.

    The constructor runs all checks, so that faults are found before anything is written.

    Args:
        config: Configuration to build.
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        self.settings: TrainSettings = config.build("train")
        self.monitor: MonitorSettings = config.build("monitor")
        check_installed(self.monitor.loggers)
        # Build this before the seed is set: a lens set may use random numbers, but must not change the initial weights.
        self.training_set, channels, size = self._images_to_learn_from()
        torch.manual_seed(self.settings.seed)
        backbone = self._backbone(channels, size)
        self.method = self._method(backbone)
        self.budget = budget_of(self.settings, self.training_set)
        self._prepare_method()
        self._check_devices()
        self._place_weights()
        self.encoder = Encoder(
            backbone, self.training_set.preprocess, self.training_set.image_shape, self._card(backbone)
        )

    def _images_to_learn_from(self) -> tuple[TrainingSet, int, int]:
        """Return the training set, and the channels and size of preprocessed images."""
        with memory.building("the images", memory.SMALLER_IMAGES):
            training_set = training_set_of(self.config)
        if min(training_set.image_shape[1:]) < FEWEST_PIXELS:
            _, height, width = training_set.image_shape
            raise UsageError(
                f"the images are {height} x {width} pixels: training needs {FEWEST_PIXELS} x {FEWEST_PIXELS} or more"
            )
        channels, height, width = training_set.preprocess.shape(training_set.image_shape)
        if height != width:
            raise UsageError(f"the images are {height} x {width} pixels: use --set input.size=N to make them square")
        return training_set, channels, height

    def _backbone(self, channels: int, size: int) -> Backbone:
        """Return the backbone, and resize the images if it does not accept their size.

        The images get the nearest size that the backbone accepts, unless `input.size` is set.
        """
        chosen = self.config.validated["backbone"]
        assert isinstance(chosen, Chosen)
        backbone = backbone_for(chosen, channels, size, may_resize=self.training_set.preprocess.size is None)
        if backbone.size != size:
            self.training_set.resize(backbone.size)
            log.info(
                "images of %d x %d pixels are resized to %d x %d, the nearest size that backbone %s accepts",
                size, size, backbone.size, backbone.size, quoted(chosen.name),
            )  # fmt: skip
        return backbone

    def _method(self, backbone: Backbone) -> Method:
        method: Method = self.config.build("method", backbone)
        meet_method(method, backbone)
        check_views(method, self.config.name("method"), self.config.name("pairs"), self.training_set.pairs.views)
        return method

    def _prepare_method(self) -> None:
        """Pass settings to the method, and let the method check the images.

        The settings are the budget, the seed, the optimizer's settings and the simulator.
        """
        method, training_set = self.method, self.training_set
        with memory.building("the images", memory.SMALLER_IMAGES):
            training_set.meet()
        method.budget, method.seed = self.budget, self.settings.seed
        if "optimizer" in self.config.sections:
            method.optimizer_settings = self.config.build("optimizer")
        if type(method).simulated is not Method.simulated:
            method.simulated(simulator_of(training_set), training_set.preprocess)
        method.prepare(training_set.parameters, training_set.values)
        if self._watches_range:
            images = training_set.sample(LOOKED_AT).views[0]
            method.check_range(float(images.min()), float(images.max()))
        if "optimizer" in self.config.sections:
            check_groups(method, method.parameter_groups())
            check_clip(method.optimizer_settings.clip, method, self.config.name("method"))

    @property
    def _watches_range(self) -> bool:
        return type(self.method).check_range is not Method.check_range

    def _check_devices(self) -> None:
        """Check that the devices can train this job.

        They must exist, support the precision, share a batch evenly, and have memory for the images.
        """
        with quiet_lightning():
            trainer = self._trainer()
        check_precision(self.settings.precision, trainer.strategy.root_device)
        processes = trainer.num_devices * trainer.num_nodes
        lenses = lenses_of(self.settings, self.training_set)
        check_batch(self.settings, self.method, self.config.name("method"), processes, lenses)
        self.training_set.check(trainer.strategy.root_device)

    def _place_weights(self) -> None:
        if self.settings.precision == "64-true":
            self.method.double()  # Lightning converts the weights only after it has loaded a checkpoint
        if self.settings.channels_last:
            self.method.to(memory_format=torch.channels_last)

    def _card(self, backbone: Backbone) -> dict[str, Any]:
        """Return the card of the encoder, a mapping for `encoder.json`."""
        inputs = self.config.build("input").shown() | {"size": self.training_set.preprocess.size}
        section = self.config.sections["backbone"]
        card: dict[str, Any] = {
            "backbone": {name: value for name, value in section.items() if name not in backbone.start_options},
            "input": inputs,
            "method": self.config.name("method"),
            "pairs": self.config.name("pairs"),
        }
        if self.training_set.pixel_scale is not None:
            card["pixel_scale"] = self.training_set.pixel_scale
        return card

    def _trainer(self, callbacks: Sequence[pl.Callback] = (), root: Path | None = None) -> pl.Trainer:
        trainer = make_trainer(self.settings, self.budget.epochs, callbacks, root, self.method.unused_parameters)
        if "optimizer" in self.config.sections:
            trainer.gradient_clip_val = self.method.optimizer_settings.clip or None
        return trainer

    def fit(self, run: Run, done: int | None, progress: bool, callbacks: Sequence[pl.Callback] = ()) -> Run:
        """Train a run from the start, or from its checkpoint.

        Args:
            run: The run to train.
            done: Number of batches in the run's checkpoint; None to train from the start.
            progress: Whether to show a progress bar.
            callbacks: Additional Lightning callbacks.

        Returns:
            The same run.

        Raises:
            LenskitError: Training failed, or a collapse stopped it.
        """
        settings, budget = self.settings, self.budget
        stream = Stream(self.training_set, budget, settings.accumulate, settings.channels_last, self._watches_range)
        display = TrainingDisplay(budget, done or 0) if progress and is_first() else None
        monitor = Monitor(run, stream, display, self.monitor)
        checkpoints = Checkpoints(run, stream, monitor, self.encoder, settings.checkpoint_every)
        with _kept(run) if is_first() else nullcontext(), quiet_lightning():
            log.info(
                "%s: %d epochs of %d batches of %d lenses", run.path, budget.epochs, budget.batches_per_epoch,
                budget.batch_size,
            )  # fmt: skip
            if done is None and isinstance(self.training_set, SimulatedTrainingSet):
                for remark in self.training_set.lenses.simulator.remarks:
                    log.info("%s", remark)
            if "optimizer" in self.config.sections:
                log.info("%s", describe(self.method.optimizer_settings, budget.batch_size, budget.epochs))
            stopping = Stopping(self.monitor.log_every)
            attached = [
                BatchCounter(stream, settings.seed),
                *self._weights(),
                monitor,
                *self._probing(run, stream, monitor),
                checkpoints,
                *callbacks,
                stopping,
            ]
            trainer = self._trainer(attached, run.path)
            check_batch_norm(trainer, self.method)
            short = memory.explained(trainer, self.method, stream)
            with restored_signals(), explained(self.method), display or nullcontext():
                path = run.checkpoint if done is not None else None
                try:
                    with short:
                        if settings.compile:
                            self.compile(trainer)
                        trainer.fit(self.method, datamodule=stream, ckpt_path=path, weights_only=True)
                finally:
                    self.training_set.close()
            run.stopped_by = stopping.signal
            if is_first():
                run.check_there()
            if monitor.stopped:
                raise LenskitError(f"{monitor.stopped}: training stopped; the encoder is in {run.path / 'encoder'}")
            if stream.batches < budget.batches and is_first():
                log.warning(
                    "stopped after %d of %d batches; resume with: lenskit train --resume %s",
                    stream.batches, budget.batches, run.path,
                )  # fmt: skip
        return run

    def _weights(self) -> list[pl.Callback]:
        """Return the callbacks for gradient accumulation and the moving average."""
        averaging = [Averaging(self.encoder, self.method, self.settings.ema)] if self.settings.ema else []
        return [*([Accumulation()] if self.settings.accumulate > 1 else []), *averaging]

    def compile(self, trainer: pl.Trainer) -> None:
        """Compile the backbones for one part of a batch, on the device of a trainer."""
        lenses = self.budget.batch_size // self.settings.accumulate // (trainer.num_devices * trainer.num_nodes)
        images = torch.randn(lenses, self.method.backbone.channels, *[self.method.backbone.size] * 2)
        if self.settings.channels_last:
            images = images.contiguous(memory_format=torch.channels_last)
        compile_backbones(self.method, images.to(trainer.strategy.root_device), trainer.precision_plugin)

    def _probing(self, run: Run, stream: Stream, monitor: Monitor) -> list[pl.Callback]:
        every = batches_between(self.monitor, self.budget)
        lenses = self.monitor.probe_lenses
        return [Probing(run, stream, monitor, self.encoder, self.training_set, every, lenses)] if every else []


@contextmanager
def _kept(run: Run) -> Iterator[None]:
    """Lock the run directory and write the log of the run inside the context."""
    with held(run.path) as still, _log_to(run.path / "train.log"):
        sweep(run.path)
        run.is_there = still
        try:
            yield
        finally:
            run.is_there = run.path.is_dir


class _LogFile(logging.FileHandler):
    """Log file that ignores write errors.

    Metrics and checkpoints are on the same disk, and report a full disk.
    """

    def handleError(self, record: logging.LogRecord) -> None:
        pass

    def close(self) -> None:
        with suppress(OSError):
            super().close()


@contextmanager
def _log_to(path: Path) -> Iterator[None]:
    try:
        handler: logging.Handler = _LogFile(path)
    except OSError as error:
        log.warning("%s cannot be written (%s): this run has no log file", path, error.strerror)
        handler = logging.NullHandler()
    handler.setFormatter(OneLine("%(asctime)s %(levelname)s %(message)s"))
    log.addHandler(handler)
    try:
        yield
    except BaseException as error:
        # Write only to the file: the caller prints the error on the screen.
        handler.handle(logging.makeLogRecord({"levelname": "ERROR", "msg": f"{type(error).__name__}: {error}"}))
        raise
    finally:
        log.removeHandler(handler)
        handler.close()
