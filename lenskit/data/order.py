"""The order in which stored lenses are learned from: drawn anew for each pass, and yet read chunk by chunk.

Lenses that are stored together are read together, so it is the chunks that are shuffled; some of them make a window,
within which the lenses are shuffled. The order is a function of the seed and of the number of the pass, whoever reads
and from wherever it goes on.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

WINDOW_LENSES, WINDOW_CHUNKS = 1024, 8
"""A window holds at least so many lenses, and chunks: it is what a batch's lenses are mixed from."""

Ints = NDArray[np.int64]


class Order:
    """Lenses by their places in the training stream; each comes once a pass.

    Args:
        lenses: How many lenses there are.
        chunk: Number of neighbouring lenses that are read together.
        seed: Seed of the order.
    """

    def __init__(self, lenses: int, chunk: int, seed: int) -> None:
        self.lenses, self.chunk, self.seed = lenses, chunk, seed
        self.chunks = -(-lenses // chunk)
        self.chunks_per_window = max(WINDOW_CHUNKS, -(-WINDOW_LENSES // chunk))
        self.windows_per_pass = -(-self.chunks // self.chunks_per_window)

    def at(self, places: Tensor) -> tuple[Tensor, range]:
        """The lenses at some places of the stream, and the windows that they come from.

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
        """The chunks of a window, in the order in which they are read."""
        number, own = divmod(window, self.windows_per_pass)
        chunks, _ = _one_pass(self, number)
        return chunks[own * self.chunks_per_window : (own + 1) * self.chunks_per_window].tolist()

    def chunks_for(self, window: int, wanted: Callable[[Tensor], Tensor]) -> list[int]:
        """The chunks of a window that hold lenses of some places, in the order in which they are read.

        Args:
            window: Its number.
            wanted: Which of some places (n,) these are: booleans (n,).
        """
        lenses, start = _shuffled(self, window)
        first = window // self.windows_per_pass * self.lenses + start
        here = wanted(torch.arange(first, first + len(lenses))).numpy()
        needed = set((lenses[here] // self.chunk).tolist())
        return [chunk for chunk in self.chunks_of(window) if chunk in needed]

    def lenses_of(self, chunk: int) -> range:
        """The lenses of a chunk."""
        return range(chunk * self.chunk, min((chunk + 1) * self.chunk, self.lenses))


@lru_cache(maxsize=4)
def _one_pass(order: Order, number: int) -> tuple[Ints, Ints]:
    """The chunks of one pass as they are read, and the first place of each window."""
    chunks = _generator(order.seed, number).permutation(order.chunks)
    lengths = np.where(chunks == order.chunks - 1, order.lenses - (order.chunks - 1) * order.chunk, order.chunk)
    before = np.concatenate([[0], np.cumsum(lengths)[:-1]])
    return chunks, before[:: order.chunks_per_window]


@lru_cache(maxsize=4)
def _shuffled(order: Order, window: int) -> tuple[Ints, int]:
    """The lenses of a window in the order of the stream, and their first place within the pass."""
    number, own = divmod(window, order.windows_per_pass)
    lenses = np.concatenate([np.arange(r.start, r.stop) for r in map(order.lenses_of, order.chunks_of(window))])
    if order.chunk > 1:  # else they are shuffled already, and come in the order in which they are read
        # Counted from one: for numpy a seed that ends with zero is the one without it, which orders the chunks.
        lenses = _generator(order.seed, number, own + 1).permutation(lenses)
    return lenses, int(_one_pass(order, number)[1][own])


def _generator(seed: int, *numbers: int) -> np.random.Generator:
    return np.random.default_rng([seed & 0xFFFFFFFF, *numbers])
