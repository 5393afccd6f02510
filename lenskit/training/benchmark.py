"""Benchmark of training: time per batch and stage, and peak memory.

A bare PyTorch loop can be timed for comparison. Times come from wrapped methods instead of torch.profiler, which
records each operation: 9,000 events and 16 % more time for a batch of 16 pairs.
"""

from __future__ import annotations

import logging
import platform
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from torch.optim import Optimizer

from lenskit.config import Config
from lenskit.data.training_set import SimulatedTrainingSet
from lenskit.errors import UsageError
from lenskit.run import Run
from lenskit.training.processes import is_first
from lenskit.training.reference_loop import bare_loop
from lenskit.training.runner import Job

log = logging.getLogger("lenskit")

STAGES = ("waiting for data", "drawing", "rendering", "augmentation", "forward", "backward", "optimiser", "rest")
"""Stages of a batch. Augmentation includes all steps from rendered or stored images to views, such as the stretch. The
rest is the runner's overhead: copies to the device, moving averages, metrics."""

WARM_UP = 2
"""Number of first batches that are not counted: memory is allocated and kernels are selected."""


class Timeline:
    """Clock of a device; on a GPU, it records events so that the host does not wait.

    Args:
        device: Device that does the work.
    """

    def __init__(self, device: torch.device) -> None:
        self.on_gpu = device.type == "cuda"

    def now(self) -> Any:
        """Return the present moment: seconds, or a CUDA event."""
        if not self.on_gpu:
            return time.perf_counter()
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return event

    def seconds(self, start: Any, end: Any) -> float:
        """Return the seconds between two moments; wait until a GPU reaches the second."""
        if not self.on_gpu:
            return end - start
        end.synchronize()
        return start.elapsed_time(end) / 1e3


class Stopwatch(pl.Callback):
    """Callback that times the stages of each batch of a job.

    The time of a batch begins at the end of the previous batch.

    Args:
        job: Job to time. Methods of its training set, simulator and method are wrapped.
    """

    def __init__(self, job: Job) -> None:
        self._spans: list[tuple[str, Any, Any]] = []
        self._ends: list[Any] = []
        self._batches: list[list[tuple[str, Any, Any]]] = []
        self.timeline = Timeline(torch.device("cpu"))
        training_set = job.training_set
        self._time(training_set, "fetch", "waiting for data")
        self._time(training_set, "views", "augmentation")
        if isinstance(training_set, SimulatedTrainingSet):
            self._time(training_set.lenses.simulator, "scene", "drawing")
            self._time(training_set.lenses.simulator, "render", "rendering")
        self._time(job.method, "training_step", "forward")

    def _time(self, owner: Any, name: str, stage: str) -> None:
        inner = getattr(owner, name)

        @wraps(inner)
        def timed(*arguments: Any, **named: Any) -> Any:
            start = self.timeline.now()
            result = inner(*arguments, **named)
            self._spans.append((stage, start, self.timeline.now()))
            return result

        setattr(owner, name, timed)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        device = trainer.strategy.root_device
        self.timeline, self.device = Timeline(device), device
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
        for optimizer in trainer.optimizers:
            optimizer.register_step_post_hook(self._stepped)

    def on_before_backward(self, trainer: pl.Trainer, pl_module: pl.LightningModule, loss: Any) -> None:
        self._backward = self.timeline.now()

    def on_after_backward(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._spans.append(("backward", self._backward, self.timeline.now()))

    def on_before_optimizer_step(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, optimizer: Optimizer
    ) -> None:
        # The optimiser's own pre-step hook is too early: Lightning runs forward and backward inside the step.
        self._step = self.timeline.now()

    def _stepped(self, *_: Any) -> None:
        self._spans.append(("optimiser", self._step, self.timeline.now()))

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        self._ends.append(self.timeline.now())
        self._batches.append(self._spans)
        self._spans = []

    def times(self) -> list[dict[str, float]]:
        """Return the seconds of each stage, for every counted batch.

        The first `WARM_UP` batches do not count. Nor does the last batch, because the last checkpoint is saved then.
        """
        counted = range(WARM_UP, len(self._ends) - 1)
        return [self._batch(self._batches[i], self._ends[i - 1], self._ends[i]) for i in counted]

    def _batch(self, spans: Sequence[tuple[str, Any, Any]], start: Any, end: Any) -> dict[str, float]:
        seconds: dict[str, float] = defaultdict(float)
        for stage, first, last in spans:
            seconds[stage] += self.timeline.seconds(first, last)
        rest = self.timeline.seconds(start, end) - sum(seconds.values())
        return {stage: seconds[stage] for stage in STAGES if stage in seconds} | {"rest": rest}


@dataclass(frozen=True)
class Spread:
    """Median and quartiles of some values.

    Attributes:
        median: Median.
        low: Lower quartile.
        high: Upper quartile.
    """

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        low, median, high = statistics.quantiles(values, n=4, method="inclusive")
        return cls(median, low, high)


@dataclass(frozen=True)
class Measurement:
    """Result of a benchmark.

    Attributes:
        batch_size: Pairs (lenses) per batch.
        times: Seconds of each stage, for each batch.
        device: Description of the device.
        memory: Peak memory in bytes: of the process on a CPU, of allocated memory on a GPU.
        bare: Seconds per batch of the run and of a bare loop, for each round.
    """

    batch_size: int
    times: list[dict[str, float]]
    device: str
    memory: int
    bare: list[tuple[float, float]]

    @property
    def totals(self) -> list[float]:
        """Seconds per batch, for each batch."""
        return [sum(batch.values()) for batch in self.times]

    @property
    def rate(self) -> Spread:
        """Pairs per second."""
        return Spread.of([self.batch_size / total for total in self.totals])

    @property
    def stages(self) -> dict[str, tuple[Spread, float]]:
        """Seconds per batch of each stage, and the stage's share of the total time."""
        whole = sum(self.totals)
        columns = {stage: [batch.get(stage, 0.0) for batch in self.times] for stage in STAGES}
        return {s: (Spread.of(values), sum(values) / whole) for s, values in columns.items() if any(values)}

    @property
    def ratio(self) -> Spread | None:
        """Time per batch of the run, divided by the time per batch of the bare loop."""
        ratios = [ours / bare for ours, bare in self.bare]
        return Spread.of(ratios * 2 if len(ratios) == 1 else ratios) if ratios else None


@contextmanager
def _quiet() -> Iterator[None]:
    """Hide log lines below the level of warnings inside the context."""
    before = log.level
    log.setLevel(logging.WARNING)
    try:
        yield
    finally:
        log.setLevel(before)


def benchmark(config: Config, batches: int = 20, bare_rounds: int = 0) -> Measurement:
    """Train some batches in a temporary folder and time them.

    Args:
        config: Configuration of the training.
        batches: Number of batches that count.
        bare_rounds: Number of rounds in which a bare PyTorch loop trains the same number of batches. The run and the
            bare loop alternate.

    Raises:
        LenskitError: Training with this configuration fails.
    """
    short = _shortened(config, batches)
    times: list[dict[str, float]] = []
    bare = []
    with _quiet():
        for number in range(max(bare_rounds, 1)):
            # The run and the bare loop take turns to be first, so that other work on the machine slows down both.
            before = [bare_loop(Job(short), batches, WARM_UP)] if bare_rounds and number % 2 == 0 else []
            watch = _train(short)
            after = [bare_loop(Job(short), batches, WARM_UP)] if bare_rounds and number % 2 else []
            own = watch.times()
            times += own
            bare += [(sum(sum(batch.values()) for batch in own) / len(own), seconds) for seconds in before + after]
    memory = torch.cuda.max_memory_allocated(watch.device) if watch.timeline.on_gpu else peak_memory()
    return Measurement(short.sections["train"]["batch_size"], times, describe(watch.device), memory, bare)


def _shortened(config: Config, batches: int) -> Config:
    """Return the configuration of a short run with `batches` counted batches."""
    if batches < 2:
        raise UsageError(f"{batches} batches have no spread: use --batches 2 or more")
    lenses = config.sections["train"]["batch_size"] * (WARM_UP + batches + 1)
    short = {
        "train": {"lenses": lenses, "epochs": 1},
        "monitor": {"probe_every": 0, "stop_on_collapse": False, "loggers": ()},
    }
    return Config.resolve(config.sections, short)


def _train(config: Config) -> Stopwatch:
    job = Job(config)
    watch = Stopwatch(job)
    with tempfile.TemporaryDirectory(prefix="lenskit-benchmark-") as folder:
        path = Path(folder) / "run"
        # Only the first process creates the directory. `Checkpoints.setup` broadcasts its path to all processes.
        run = Run.create(path, config) if is_first() else Run(path, config)
        if job.fit(run, None, False, [watch]).stopped_by:
            raise KeyboardInterrupt
    return watch


def peak_memory() -> int:
    """Return the peak memory of this process in bytes."""
    status = Path("/proc/self/status")
    if status.is_file():  # the value of getrusage starts with the peak of the parent process
        return int(status.read_text().partition("VmHWM:")[2].split()[0]) * 1024
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def describe(device: torch.device) -> str:
    """Return the name of a device; for a CPU, with the number of threads."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{platform.machine()} {device.type}, {torch.get_num_threads()} thread(s)"
