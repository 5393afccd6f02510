"""Each pass contains every lens once, and reads chunks one after the other."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lenskit.data.order import WINDOW_LENSES, Order

SIZES = st.integers(1, 5000)
CHUNKS = st.one_of(st.just(1), st.integers(2, 600))
SEEDS = st.integers(-(2**40), 2**40)


@given(SIZES, CHUNKS, SEEDS)
@settings(deadline=None, max_examples=60)
def test_every_lens_comes_once_a_pass(lenses: int, chunk: int, seed: int) -> None:
    index, _ = Order(lenses, chunk, seed).at(torch.arange(3 * lenses))
    passes = index.view(3, lenses)
    assert torch.equal(passes.sort(1).values, torch.arange(lenses).expand(3, -1))
    if lenses > 20:
        assert len({tuple(one.tolist()) for one in passes}) == 3


@pytest.mark.slow
@given(SIZES, CHUNKS, SEEDS, st.data())
@settings(deadline=None, max_examples=60)
def test_a_place_has_its_lens_whatever_was_asked_before(
    lenses: int, chunk: int, seed: int, data: st.DataObject
) -> None:
    """Batches and shares of processes may cross the borders of windows and passes."""
    size, world, first = (data.draw(st.integers(1, high)) for high in (3000, 4, 5 * lenses))
    places = torch.arange(first, first + size)
    together, windows = Order(lenses, chunk, seed).at(places)
    order = Order(lenses, chunk, seed)
    order.at(places % lenses)
    for rank in range(min(world, size)):
        share, own = order.at(places[rank::world])
        assert torch.equal(share, together[rank::world])
        assert set(own) <= set(windows)


@given(SIZES, CHUNKS, SEEDS)
@settings(deadline=None, max_examples=60)
def test_chunks_are_read_once_a_pass(lenses: int, chunk: int, seed: int) -> None:
    """A window has the lenses of its chunks. All windows but the last are large."""
    order = Order(lenses, chunk, seed)
    index, windows = order.at(torch.arange(lenses, 2 * lenses))
    assert windows == range(order.windows_per_pass, 2 * order.windows_per_pass)
    read: list[int] = []
    start = 0
    for window in windows:
        chunks = order.chunks_of(window)
        inside = [lens for number in chunks for lens in order.lenses_of(number)]
        assert sorted(index[start : start + len(inside)].tolist()) == sorted(inside)
        if window + 1 in windows:
            assert len(chunks) >= 8
            assert chunk * len(chunks) >= WINDOW_LENSES
        start += len(inside)
        read += chunks
    assert sorted(read) == list(range(-(-lenses // chunk)))


@pytest.mark.parametrize("chunk", [1, 64, 256])
def test_neighbours_in_the_store_are_apart_in_the_stream(chunk: int) -> None:
    """In a full shuffle of n lenses, two lenses are n / 3 places apart on average."""
    lenses = 20_000
    index = Order(lenses, chunk, 0).at(torch.arange(lenses))[0].numpy()
    assert abs(np.corrcoef(np.arange(lenses), index)[0, 1]) < 4 * (chunk / lenses) ** 0.5
    place = np.argsort(index)
    window = max(WINDOW_LENSES, 8 * chunk)
    expected = (lenses if chunk == 1 else window) / 3
    assert np.abs(np.diff(place)).mean() > 0.9 * expected


def test_another_seed_is_another_order() -> None:
    a, b, again = (Order(3000, 64, seed).at(torch.arange(3000))[0] for seed in (0, 1, 0))
    assert torch.equal(a, again)
    assert not torch.equal(a, b)
