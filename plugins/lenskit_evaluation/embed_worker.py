"""Embeds many images part by part, in this process or on a Dask cluster, with the same outcome.

A part is a range of lenses, the same whoever embeds it, and on a CPU each is embedded by one thread: then the features
are the same to the last bit, too.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from lenskit.evaluation import (
    Embeddings,
    LensSet,
    SimulatedLenses,
    StoredLenses,
    find_reader,
    open_run,
    simulator_of,
    stored_origin,
    to_best_device,
)
from lenskit.plugin import LenskitError, Method

PART = 256
"""About so many images at a time."""
CPU_BATCH = 64
"""On a CPU no more of them go through the network together: each thread has memory for so many."""
SPLIT = "embed"
"""Part of the data that simulated lenses are of; training uses `train`."""

_one_at_a_time = threading.Lock()

Start = Callable[[range], Any]
"""Starts to embed a part, and gives a future of its `Embeddings`."""


@dataclass(frozen=True)
class Task:
    """What is to be embedded, by what: plain values, for the workers of a cluster.

    Attributes:
        run: The run's path, or the name of an encoder; see `Run.address`.
        projection: Whether projections are to be given; it is an error if they are wanted and there are none.
        data: `READER:PATH` of stored images, or None for simulated ones.
        all_views: Whether all images of each stored lens are embedded.
        lenses: Number of simulated lenses.
        seed: Their seed.
        simulator: Name of their simulator, if it is not the run's.
        changes: `OPTION=VALUE`, what is changed of the simulator.
        token: Of this command alone: a worker that lives long never takes the run or data of an earlier one for these.
    """

    run: str
    projection: Literal["wanted", "if any", "none"]
    data: str | None
    all_views: bool
    lenses: int
    seed: int
    simulator: str | None
    changes: tuple[str, ...]
    token: str


class EmbedWorker:
    """Carries out a task, part by part; from several threads at once, if it is of stored images.

    Args:
        task: What to do.

    Raises:
        LenskitError: if something is missing, before anything is done.
    """

    def __init__(self, task: Task) -> None:
        self.task, self.run = task, open_run(task.run)
        self.encoder = to_best_device(self.run.encoder())
        self.device = next(self.encoder.parameters()).device
        self.method = self._method()
        if task.data is None:
            simulator = simulator_of(self.run, task.simulator, task.changes)
            simulated = SimulatedLenses(simulator, seed=task.seed, split=SPLIT, index=task.lenses)
            self.lenses: LensSet = simulated.to(self.device)
        else:
            _, self.path = find_reader(task.data)
            self.lenses = StoredLenses(self.encoder.open(task.data))
        self.views = (self.lenses.views or 1) if task.all_views else 1

    @property
    def simulated(self) -> bool:
        """Whether the lenses are simulated, which one thread does."""
        return isinstance(self.lenses, SimulatedLenses)

    def _method(self) -> Method | None:
        if self.task.projection == "none":
            return None
        method = self.run.method()
        features = torch.zeros(1, self.encoder.features)
        with torch.inference_mode():
            if method.project(features) is not None:
                return method.to(self.device)
        if self.task.projection == "wanted":
            raise LenskitError(f"the method of {self.run.path}, {self.run.config.name('method')!r}, has no projections")
        return None

    @property
    def rows(self) -> int:
        """Number of images."""
        return len(self.lenses) * self.views

    def parts(self) -> Iterator[range]:
        """Return the lenses, in parts."""
        return self.lenses.parts(PART, self.views)

    def reads(self, path: Path) -> bool:
        """Whether a path is that of the images."""
        return not self.simulated and path.resolve() == self.path.resolve()

    @torch.inference_mode()
    def __call__(self, lenses: range) -> Embeddings:
        """Embeds some lenses.

        Raises:
            LenskitError: if an image cannot be read, or features are not finite.
        """
        read = self.lenses.read(lenses, self.views)
        features: dict[str, list[np.ndarray]] = {}
        for part in read.images.split(CPU_BATCH if self.device.type == "cpu" else PART):
            for name, value in self._features(part.to(self.device)).items():
                features.setdefault(name, []).append(value.float().cpu().numpy())
        lens = read.lens.cpu().numpy()
        return Embeddings(
            {name: np.concatenate(each) for name, each in features.items()},
            read.arrays(),
            parameters=self.lenses.parameters,
            lens=lens,
            view=read.view.cpu().numpy(),
            names=self.lenses.names_of(lens),
            about=self.about,
        )

    def _features(self, images: Tensor) -> dict[str, Tensor]:
        features = self.encoder(images)
        projection = self.method.project(features.float()) if self.method else None
        return {"backbone": features} | ({} if projection is None else {"projection": projection})

    @property
    def about(self) -> dict[str, Any]:
        """Where the features come from. With the numbers of lens and view that each row has, it is the images'
        address."""
        if isinstance(self.lenses, SimulatedLenses):
            section = self.run.config.sections.get("simulator")
            if self.task.simulator:
                section = {"name": self.run.simulator_config(self.task.simulator).name("simulator")}
            images: dict[str, Any] = {"simulator": section, "set": list(self.task.changes)}
            images |= {"seed": self.task.seed, "split": SPLIT}
        else:
            assert self.task.data is not None
            assert isinstance(self.lenses, StoredLenses)
            images = stored_origin(self.task.data, self.lenses.dataset)
        return {"run": self.task.run, "encoder": self.encoder.card, "images": images}


def in_order(start: Start, parts: Iterable[range], ahead: Callable[[], int]) -> Iterator[Embeddings]:
    """What becomes of parts, in their order, of which no more are begun than `ahead()` says."""
    begun: deque[Any] = deque()
    for part in parts:
        begun.append(start(part))
        while len(begun) > ahead():
            yield begun.popleft().result()
    while begun:
        yield begun.popleft().result()


@contextmanager
def on_threads(embedder: EmbedWorker, workers: int) -> Iterator[tuple[Start, Callable[[], int]]]:
    """Embeds parts in threads of this process: of stored images several at once on a CPU; on a GPU two, so that one
    part is read while another is computed."""
    count = workers if embedder.device.type == "cpu" else min(workers, 2)
    pool = ThreadPoolExecutor(count, "lenskit-embed")
    with nullcontext() if embedder.simulated else _one_thread():
        try:
            yield lambda part: pool.submit(embedder, part), lambda: count
        finally:
            pool.shutdown(cancel_futures=True)


@contextmanager
def on_cluster(client: Any, embedder: EmbedWorker) -> Iterator[tuple[Start, Callable[[], int]]]:
    """Embeds parts on the workers of a cluster, each of which opens run and data for itself."""
    task = embedder.task

    def start(part: range) -> _Remote:
        return _Remote(client.submit(embed_part, task, part.start, part.stop, pure=False))

    yield start, lambda: 2 * max(sum(client.nthreads().values()), 1)


class _Remote:
    """A cluster's future, whose faults are one line."""

    def __init__(self, future: Any) -> None:
        self._future = future

    def result(self) -> Embeddings:
        try:
            return self._future.result()
        except Exception as error:
            if isinstance(error, LenskitError) or (isinstance(error, OSError) and error.strerror):
                raise
            reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
            raise LenskitError(f"the cluster cannot embed the images: {reason}") from error


def embed_part(task: Task, start: int, stop: int) -> Embeddings:
    """Embeds lenses `start` to `stop` - 1 of a task, on the worker that calls it."""
    # One thread a process, however many the worker has.
    with _one_at_a_time, _one_thread():
        return _opened(task)(range(start, stop))


@lru_cache(maxsize=1)
def _opened(task: Task) -> EmbedWorker:
    if Path(task.run).is_absolute() and not Path(task.run).is_dir():
        raise LenskitError(f"a worker of the cluster does not see {task.run}: it must be on a disk that all share")
    return EmbedWorker(task)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Lets torch compute with one thread."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
