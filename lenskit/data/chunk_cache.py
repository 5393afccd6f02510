"""Cache of the chunks of a dataset, which threads read ahead of time."""

from __future__ import annotations

import logging
import math
import os
from collections import deque
from collections.abc import Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import chain

import numpy as np
import torch
from torch import Tensor

from lenskit.data.memory import keep_freed_memory
from lenskit.data.order import Order
from lenskit.data.stored import Pixels, read_lenses
from lenskit.errors import UsageError
from lenskit.kinds.dataset import Dataset

log = logging.getLogger("lenskit")

READ_LENSES = 64
"""Chunks with fewer lenses are read in groups of about this number of lenses."""


class ChunkCache:
    """Cache of a dataset's chunks, which threads read before they are needed.

    The memory of dropped chunks is reused, because allocating new memory costs more than reading the images.

    Args:
        dataset: Dataset to read from.
        order: Order of the lenses, which divides them into chunks.
        draws: Number of images to read of each lens.
        workers: Number of reading threads. With 0, chunks are read when they are needed.
        keep: Whether chunks stay in memory after they were read.
    """

    def __init__(self, dataset: Dataset, order: Order, draws: int, workers: int, keep: bool) -> None:
        self.dataset, self.order, self.draws, self.workers, self.keep = dataset, order, draws, workers, keep
        self._together = max(READ_LENSES // order.chunk, 1)
        self._pool: ThreadPoolExecutor | None = None
        self._held: dict[int, tuple[Future[Pixels], int]] = {}
        """For each chunk, the future of the read that contains it, and its first row in the result."""
        self._free: deque[Tensor] = deque()
        keep_freed_memory()

    def want(self, chunks: Iterable[int]) -> None:
        """Start to read these chunks in order; drop all other chunks unless `keep` is set."""
        wanted = dict.fromkeys(chunks)
        if not self.keep:
            self._let_go(self._held.keys() - wanted.keys())
        if self.workers:
            self._start(wanted)

    def lenses(self, index: Tensor) -> Pixels:
        """Return the images and parameters of lenses, after waiting for their chunks.

        Args:
            index: (n,) int64, numbers of the lenses. The result has the same order.

        Raises:
            LenskitError: A chunk cannot be read.
        """
        chunks, rows = np.divmod(index.numpy(), self.order.chunk)
        self._start(dict.fromkeys(chunks.tolist()))
        images = torch.empty(len(index), self.draws, *self.dataset.image_shape)
        values = torch.empty(len(index), self.draws, len(self.dataset.parameters))
        for chunk in np.unique(chunks).tolist():
            (places,) = np.nonzero(chunks == chunk)
            future, first = self._held[chunk]
            pixels, parameters = (held.numpy()[first:] for held in future.result())
            values.numpy()[places] = parameters[rows[places]]
            # Copy one by one, because indexing with an array would allocate a temporary copy.
            for place, row in zip(places.tolist(), rows[places].tolist(), strict=True):
                images.numpy()[place] = pixels[row]
        return images, values

    def held(self) -> int:
        """Return the number of lenses in memory, after waiting for reads in progress."""
        return sum(len(future.result()[0]) for future in {future for future, _ in self._held.values()})

    def close(self) -> None:
        """Stop reading ahead."""
        if self._pool:
            self._pool.shutdown(wait=False, cancel_futures=True)
            self._pool = None
        self._held = {chunk: held for chunk, held in self._held.items() if not held[0].cancelled()}

    def _let_go(self, chunks: Iterable[int]) -> None:
        gone = {self._held.pop(chunk)[0] for chunk in chunks}
        for future in gone - {future for future, _ in self._held.values()}:
            if not future.cancel() and future.done() and not future.exception():
                self._free.append(future.result()[0])

    def _start(self, chunks: Iterable[int]) -> None:
        """Start to read the missing chunks, small chunks in groups."""
        missing = [chunk for chunk in chunks if chunk not in self._held]
        for group in (missing[i : i + self._together] for i in range(0, len(missing), self._together)):
            parts = [self.order.lenses_of(chunk) for chunk in group]
            future = self._submit(parts[0] if len(parts) == 1 else [*chain.from_iterable(parts)])
            first = 0
            for chunk, part in zip(group, parts, strict=True):
                self._held[chunk] = future, first
                first += len(part)

    def _submit(self, lenses: Sequence[int]) -> Future[Pixels]:
        if self.workers:
            self._pool = self._pool or ThreadPoolExecutor(self.workers, "lenskit-read")
            return self._pool.submit(self._read, lenses)
        future: Future[Pixels] = Future()
        future.set_result(self._read(lenses))
        return future

    def _read(self, lenses: Sequence[int]) -> Pixels:
        if self.keep:
            return read_lenses(self.dataset, lenses, self.draws)
        try:
            memory = self._free.pop()
        except IndexError:
            memory = torch.empty(0)
        if len(memory) < len(lenses):
            memory = torch.empty(self._together * self.order.chunk, self.draws, *self.dataset.image_shape)
        return read_lenses(self.dataset, lenses, self.draws, memory)


def size_in_bytes(dataset: Dataset, draws: int) -> int:
    """Return the memory that the images need, in bytes."""
    return 4 * len(dataset) * draws * math.prod(dataset.image_shape)


def load(dataset: Dataset, draws: int, device: torch.device) -> Pixels:
    """Read all lenses into one tensor on a device.

    Raises:
        UsageError: The images do not fit into the memory of the device.
    """
    check_room(dataset, draws, device)
    gigabytes = size_in_bytes(dataset, draws) / 1e9
    if gigabytes > 1:
        log.info("reading %.1f GB of images onto %s", gigabytes, device)
    images = torch.empty(len(dataset), draws, *dataset.image_shape, device=device)
    parameters = torch.empty(len(dataset), draws, len(dataset.parameters), device=device)
    step = max(READ_LENSES // dataset.chunk, 1) * dataset.chunk
    for start in range(0, len(dataset), step):
        lenses = range(start, min(start + step, len(dataset)))
        images[start : start + step], parameters[start : start + step] = read_lenses(dataset, lenses, draws)
    return images, parameters


def check_room(dataset: Dataset, draws: int, device: torch.device) -> None:
    """Check that all images fit into the memory of a device.

    Raises:
        UsageError: The images do not fit. The message has the needed memory and the available memory.
    """
    needed, room = size_in_bytes(dataset, draws), _room(device)
    if needed > room:
        raise UsageError(
            f"the images need {needed / 1e9:.1f} GB, but {'memory' if device.type == 'cpu' else device} has "
            f"{room / 1e9:.1f} GB: use --set input.keep={'disk' if device.type == 'cpu' else 'memory'}"
        )


def _room(device: torch.device) -> float:
    """Return the free memory of a GPU or the total memory of the machine, in bytes."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if device.type == "cpu" else math.inf
    except (AttributeError, ValueError, OSError):  # not available on every system
        return math.inf
