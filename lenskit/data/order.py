"""Random order of stored lenses in training, which reads whole chunks.

The lenses of a chunk are read together. Each pass over the data therefore shuffles the chunks. Several consecutive
chunks form a window, and the lenses of a window are shuffled. The order depends only on the seed and the number of the
pass, not on the number of processes or on whether training was resumed.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

WINDOW_LENSES, WINDOW_CHUNKS = 1024, 8
"""Minimum number of lenses, and of chunks, in a window. The lenses of a batch come from one window or a few."""

Ints = NDArray[np.int64]


class Order:
    """Mapping from places in the training stream to lenses.

    A pass contains each lens once.

    Args:
        lenses: Number of lenses.
        chunk: Number of neighbouring lenses that are read together.
        seed: Seed of the order.
    """

    def __init__(self, lenses: int, chunk: int, seed: int) -> None:
        self.lenses, self.chunk, self.seed = lenses, chunk, seed
        self.chunks = -(-lenses // chunk)
        self.chunks_per_window = max(WINDOW_CHUNKS, -(-WINDOW_LENSES // chunk))
        self.windows_per_pass = -(-self.chunks // self.chunks_per_window)

    def at(self, places: Tensor) -> tuple[Tensor, range]:
        """Return the lenses at some places of the stream, and the windows of these lenses.

        Args:
            places: (n,) int64.

        Returns:
            Numbers of lenses (n,) int64, and the windows, counted over all passes.
        """
        passes, steps = np.divmod(places.numpy(), self.lenses)
        windows = np.empty_like(passes)
        for number in np.unique(passes):
            here = passes == number
            starts = _one_pass(self, int(number))[1]
            windows[here] = number * self.windows_per_pass + np.searchsorted(starts, steps[here], "right") - 1
        index = np.empty_like(passes)
        for window in np.unique(windows):
            here = windows == window
            lenses, start = _shuffled(self, int(window))
            index[here] = lenses[steps[here] - start]
        return torch.from_numpy(index), range(int(windows.min()), int(windows.max()) + 1)

    def chunks_of(self, window: int) -> list[int]:
        """Return the chunks of a window, in the order in which they are read."""
        number, own = divmod(window, self.windows_per_pass)
        chunks, _ = _one_pass(self, number)
        return chunks[own * self.chunks_per_window : (own + 1) * self.chunks_per_window].tolist()

    def chunks_for(self, window: int, wanted: Callable[[Tensor], Tensor]) -> list[int]:
        """Return the chunks of a window that contain wanted lenses, in reading order.

        Args:
            window: Number of the window.
            wanted: Function from places (n,) to booleans (n,): whether a place is wanted.
        """
        lenses, start = _shuffled(self, window)
        first = window // self.windows_per_pass * self.lenses + start
        here = wanted(torch.arange(first, first + len(lenses))).numpy()
        needed = set((lenses[here] // self.chunk).tolist())
        return [chunk for chunk in self.chunks_of(window) if chunk in needed]

    def lenses_of(self, chunk: int) -> range:
        """Return the lenses of a chunk."""
        return range(chunk * self.chunk, min((chunk + 1) * self.chunk, self.lenses))


@lru_cache(maxsize=4)
def _one_pass(order: Order, number: int) -> tuple[Ints, Ints]:
    """Return the chunks of a pass in reading order, and the place of each window."""
    chunks = _generator(order.seed, number).permutation(order.chunks)
    lengths = np.where(chunks == order.chunks - 1, order.lenses - (order.chunks - 1) * order.chunk, order.chunk)
    before = np.concatenate([[0], np.cumsum(lengths)[:-1]])
    return chunks, before[:: order.chunks_per_window]


@lru_cache(maxsize=4)
def _shuffled(order: Order, window: int) -> tuple[Ints, int]:
    """Return the lenses of a window in stream order, and the first place in the pass."""
    number, own = divmod(window, order.windows_per_pass)
    lenses = np.concatenate([np.arange(r.start, r.stop) for r in map(order.lenses_of, order.chunks_of(window))])
    if order.chunk > 1:  # chunks of one lens are shuffled already, and stay in reading order
        # Add one: numpy ignores a zero at the end of a seed, and the seed without it orders the chunks.
        lenses = _generator(order.seed, number, own + 1).permutation(lenses)
    return lenses, int(_one_pass(order, number)[1][own])


def _generator(seed: int, *numbers: int) -> np.random.Generator:
    return np.random.default_rng([seed & 0xFFFFFFFF, *numbers])
