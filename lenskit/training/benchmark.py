"""Time and memory of a run's batches, by stage; beside a bare PyTorch loop, if asked for.

Methods are wrapped: torch.profiler records each operation, 9,000 events and 16 % more time in a batch of 16 pairs.
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
"""Parts of a batch. Augmentation is all between rendered or stored images and views: the stretch, too. The rest is the
run's own: copies to the device, moving averages, figures."""

WARM_UP = 2
"""First batches, which are not counted: memory is found, and kernels are chosen."""


class Timeline:
    """Moments of a processor; of a GPU as it comes to them, so that nothing waits for it while it works."""

    def __init__(self, device: torch.device) -> None:
        self.on_gpu = device.type == "cuda"

    def now(self) -> Any:
        """This moment."""
        if not self.on_gpu:
            return time.perf_counter()
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return event

    def seconds(self, start: Any, end: Any) -> float:
        """From one moment to another; waits for a GPU to come to it."""
        if not self.on_gpu:
            return end - start
        end.synchronize()
        return start.elapsed_time(end) / 1e3


class Stopwatch(pl.Callback):
    """Times the stages of each batch of a job, from the end of the batch before.

    Args:
        job: What will be trained.
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
        # The optimiser's own hook comes too early: it is given the two passes to do.
        self._step = self.timeline.now()

    def _stepped(self, *_: Any) -> None:
        self._spans.append(("optimiser", self._step, self.timeline.now()))

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        self._ends.append(self.timeline.now())
        self._batches.append(self._spans)
        self._spans = []

    def times(self) -> list[dict[str, float]]:
        """Seconds of each stage, for every batch that counts: not the first ones, nor the last, with which a run's last
        checkpoint is saved."""
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
    """The middle of some values, and their quartiles."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        low, median, high = statistics.quantiles(values, n=4, method="inclusive")
        return cls(median, low, high)


@dataclass(frozen=True)
class Measurement:
    """What some batches took.

    Attributes:
        batch_size: Pairs (lenses) of each.
        times: For each batch, seconds of each stage.
        device: What they were trained on.
        memory: Peak in bytes, of the process on a CPU, of what was allocated on a GPU.
        bare: For each round, seconds a batch of the run, and of a bare loop.
    """

    batch_size: int
    times: list[dict[str, float]]
    device: str
    memory: int
    bare: list[tuple[float, float]]

    @property
    def totals(self) -> list[float]:
        """Seconds of each batch."""
        return [sum(batch.values()) for batch in self.times]

    @property
    def rate(self) -> Spread:
        """Pairs a second."""
        return Spread.of([self.batch_size / total for total in self.totals])

    @property
    def stages(self) -> dict[str, tuple[Spread, float]]:
        """Of each stage, seconds a batch and its share of all batches' time."""
        whole = sum(self.totals)
        columns = {stage: [batch.get(stage, 0.0) for batch in self.times] for stage in STAGES}
        return {s: (Spread.of(values), sum(values) / whole) for s, values in columns.items() if any(values)}

    @property
    def ratio(self) -> Spread | None:
        """How many times as long as a bare loop's batch the run's takes."""
        ratios = [ours / bare for ours, bare in self.bare]
        return Spread.of(ratios * 2 if len(ratios) == 1 else ratios) if ratios else None


@contextmanager
def _quiet() -> Iterator[None]:
    """Leaves to warnings what a run says of itself."""
    before = log.level
    log.setLevel(logging.WARNING)
    try:
        yield
    finally:
        log.setLevel(before)


def benchmark(config: Config, batches: int = 20, bare_rounds: int = 0) -> Measurement:
    """Trains some batches in a temporary folder, and times them.

    Args:
        config: What would be trained.
        batches: How many batches count.
        bare_rounds: How often as many batches are also trained by a bare PyTorch loop, in turns with the run.

    Raises:
        LenskitError: as training would.
    """
    short = _shortened(config, batches)
    times: list[dict[str, float]] = []
    bare = []
    with _quiet():
        for number in range(max(bare_rounds, 1)):
            # In turns, either first, so that what else the machine does meets both.
            before = [bare_loop(Job(short), batches, WARM_UP)] if bare_rounds and number % 2 == 0 else []
            watch = _train(short)
            after = [bare_loop(Job(short), batches, WARM_UP)] if bare_rounds and number % 2 else []
            own = watch.times()
            times += own
            bare += [(sum(sum(batch.values()) for batch in own) / len(own), seconds) for seconds in before + after]
    memory = torch.cuda.max_memory_allocated(watch.device) if watch.timeline.on_gpu else peak_memory()
    return Measurement(short.sections["train"]["batch_size"], times, describe(watch.device), memory, bare)


def _shortened(config: Config, batches: int) -> Config:
    """The configuration of a run of so many batches, and those that do not count."""
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
        # Only the first process of several makes the directory; it tells the others.
        run = Run.create(path, config) if is_first() else Run(path, config)
        if job.fit(run, None, False, [watch]).stopped_by:
            raise KeyboardInterrupt
    return watch


def peak_memory() -> int:
    """The most memory that this process ever had, in bytes."""
    status = Path("/proc/self/status")
    if status.is_file():  # getrusage's begins with that of the process that started this one
        return int(status.read_text().partition("VmHWM:")[2].split()[0]) * 1024
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def describe(device: torch.device) -> str:
    """A device in words."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{platform.machine()} {device.type}, {torch.get_num_threads()} thread(s)"
