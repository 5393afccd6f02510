"""Embedding of many images in parts, in this process or on a Dask cluster.

A part is a range of lenses. The ranges do not depend on the number of workers, and on a CPU one thread embeds each
part. Therefore the features are the same to the last bit for any number of workers.
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
"""Approximate number of images in a part."""
CPU_BATCH = 64
"""Images in a batch on a CPU, where each thread needs memory for a batch."""
SPLIT = "embed"
"""Split of the simulated lenses; training uses `train`."""

_one_at_a_time = threading.Lock()

Start = Callable[[range], Any]
"""Function that starts to embed a part and returns a future of its `Embeddings`."""


@dataclass(frozen=True)
class Task:
    """Description of the images to embed and of the encoder, as plain values.

    A task can be sent to the workers of a cluster.

    Attributes:
        run: Path of the run, or name of an encoder; see `Run.address`.
        projection: Whether to compute projections. If the method has no projections, `wanted` raises an error and
            `if any` does not. `none` skips projections.
        data: `READER:PATH` of stored images, or None for simulated images.
        all_views: Whether to embed all images of each stored lens, or only the first.
        lenses: Number of simulated lenses.
        seed: Random seed of the simulated lenses.
        simulator: Name of the simulator; None for the simulator of the run.
        changes: Overrides of the simulator's options, `OPTION=VALUE`.
        token: Identifier of this command. It prevents a worker of a cluster from reusing the run or the data of an
            earlier command.
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
    """Function that embeds a part of a task.

    Several threads may call it at the same time if the images are stored.

    Args:
        task: The task.

    Raises:
        LenskitError: if the run, its method or the data cannot be opened.
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
        """Whether the lenses are simulated; only one thread at a time may simulate."""
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
        """Number of images to embed."""
        return len(self.lenses) * self.views

    def parts(self) -> Iterator[range]:
        """Return the range of lenses in each part."""
        return self.lenses.parts(PART, self.views)

    def reads(self, path: Path) -> bool:
        """Whether the images are read from this path."""
        return not self.simulated and path.resolve() == self.path.resolve()

    @torch.inference_mode()
    def __call__(self, lenses: range) -> Embeddings:
        """Embed a range of lenses.

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
        """Origin of the features: run, encoder and images.

        Together with the lens number and the view number of each row, this record is enough to read or simulate the
        images again.
        """
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
    """Yield the embeddings of parts in the order of the parts.

    At most `ahead()` parts are computed in advance.
    """
    begun: deque[Any] = deque()
    for part in parts:
        begun.append(start(part))
        while len(begun) > ahead():
            yield begun.popleft().result()
    while begun:
        yield begun.popleft().result()


@contextmanager
def on_threads(embedder: EmbedWorker, workers: int) -> Iterator[tuple[Start, Callable[[], int]]]:
    """Embed parts in threads of this process.

    On a CPU, each of `workers` threads embeds one part at a time. On a GPU, there are at most two threads, so that one
    part is read while the other is computed.
    """
    count = workers if embedder.device.type == "cpu" else min(workers, 2)
    pool = ThreadPoolExecutor(count, "lenskit-embed")
    with nullcontext() if embedder.simulated else _one_thread():
        try:
            yield lambda part: pool.submit(embedder, part), lambda: count
        finally:
            pool.shutdown(cancel_futures=True)


@contextmanager
def on_cluster(client: Any, embedder: EmbedWorker) -> Iterator[tuple[Start, Callable[[], int]]]:
    """Embed parts on the workers of a cluster; each worker opens the run and the data."""
    task = embedder.task

    def start(part: range) -> _Remote:
        return _Remote(client.submit(embed_part, task, part.start, part.stop, pure=False))

    yield start, lambda: 2 * max(sum(client.nthreads().values()), 1)


class _Remote:
    """Future of a cluster that reports an error of a worker as one line."""

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
    """Embed lenses `start` to `stop` - 1 of a task.

    A worker of the cluster runs this function.
    """
    # A worker may have several threads, but features are the same to the last bit only if one thread computes them.
    with _one_at_a_time, _one_thread():
        return _opened(task)(range(start, stop))


@lru_cache(maxsize=1)
def _opened(task: Task) -> EmbedWorker:
    if Path(task.run).is_absolute() and not Path(task.run).is_dir():
        raise LenskitError(
            f"a worker of the cluster cannot find {task.run}: copy the run to a disk that all workers share"
        )
    return EmbedWorker(task)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Let torch compute with one thread inside the `with` block."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
