"""Chunks are read once and ahead of time, then dropped; errors reach the caller."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Sequence

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from lenskit.chosen import build
from lenskit.data.order import Order
from lenskit.data.stored import StoredLenses, read_lenses
from lenskit.data.training_set import Share, StoredTrainingSet
from lenskit.errors import LenskitError
from lenskit.kinds.dataset import Dataset
from lenskit.preprocessing.preprocess import Preprocess


class Watched(Dataset):
    """Dataset of small images that records its reads and the reading threads."""

    image_shape = (1, 2, 2)

    def __init__(self, lenses: int, chunk: int) -> None:
        self.names = [f"lens-{i}" for i in range(lenses)]
        self.chunk = chunk
        self.reads: list[Sequence[int]] = []
        self.threads: set[str] = set()

    def read(self, index: Sequence[int]) -> tuple[Tensor, dict[str, Tensor]]:
        self.reads.append(index)
        self.threads.add(threading.current_thread().name)
        return torch.tensor(list(index), dtype=torch.float32)[:, None, None, None, None].expand(-1, 1, 1, 2, 2), {}


def in_chunks(lenses: Sequence[int], order: Order) -> list[int]:
    """Return the chunks that were read, and check that each was read entirely."""
    chunks = list(dict.fromkeys(lens // order.chunk for lens in lenses))
    assert list(lenses) == [lens for chunk in chunks for lens in order.lenses_of(chunk)]
    return chunks


def source(dataset: Dataset, **held) -> StoredTrainingSet:
    return StoredTrainingSet(dataset, build("pairs", "single", {}), Preprocess("linear"), 3, **held)


def run_through(dataset: Dataset, batch_size: int, passes: int, rank: int = 0, world: int = 1, **held) -> None:
    """Fetch all batches of several passes in order, and check them."""
    stream = source(dataset, **held)
    try:
        for batch in range(passes * len(dataset) // batch_size):
            made = stream.batch(stream.fetch(Share(batch_size, rank, world).of_batch(batch)))
            assert torch.equal(made.views[0][:, 0, 0, 0], made.index.float())
    finally:
        stream.close()


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 1, 3])
@given(
    lenses=st.integers(2500, 6000),
    chunk=st.integers(1, 300),
    batch_size=st.integers(100, 700),
    world=st.integers(1, 3),
)
@settings(deadline=None, max_examples=8)
def test_each_chunk_is_read_once_a_pass(workers: int, lenses: int, chunk: int, batch_size: int, world: int) -> None:
    dataset = Watched(lenses, chunk)
    run_through(dataset, batch_size, 2, world - 1, world, keep="disk", workers=workers)
    order = Order(lenses, chunk, 3)
    chunks = [read for reads in dataset.reads for read in in_chunks(reads, order)]
    # The last batches may be omitted, and the next window may be read ahead.
    ahead = 2 * order.chunks_per_window
    assert len(chunks) <= 2 * order.chunks + ahead
    if world == 1 or chunk >= 40:  # a process skips a small chunk without lenses of its share
        assert len(chunks) >= 2 * order.chunks - ahead
    assert max(Counter(chunks).values()) <= 3
    assert any("lenskit-read" in name for name in dataset.threads) == bool(workers)


@pytest.mark.slow
@given(
    lenses=st.integers(50, 3000),
    chunk=st.sampled_from([1, 2, 16]),
    batch_size=st.integers(8, 50),
    world=st.integers(2, 5),
)
@settings(deadline=None, max_examples=15)
def test_several_processes_read_what_they_need(lenses: int, chunk: int, batch_size: int, world: int) -> None:
    """Each process gets the same lenses as if it read all chunks."""
    for rank in range(world):
        share = Share(batch_size, rank, world)
        dataset = Watched(lenses, chunk)
        some, whole = source(dataset, keep="disk", workers=0), source(Watched(lenses, chunk), keep="disk", workers=0)
        some.share = share
        own = []
        for batch in range(lenses // batch_size):
            fetched, expected = some.fetch(share.of_batch(batch)), whole.fetch(share.of_batch(batch))
            assert torch.equal(fetched["index"], expected["index"])
            assert torch.equal(fetched["images"], expected["images"])
            own += fetched["index"].tolist()
        reads = [lens for read in dataset.reads for lens in read]
        assert {lens // chunk for lens in reads} == {lens // chunk for lens in own}
        if chunk == 1:
            assert sorted(reads) == sorted(own)


@pytest.mark.parametrize("workers", [0, 2])
def test_memory_reads_once_for_all(workers: int) -> None:
    dataset = Watched(3000, 16)
    run_through(dataset, 100, 3, keep="memory", workers=workers)
    assert Counter(lens for read in dataset.reads for lens in read) == dict.fromkeys(range(3000), 1)


@pytest.mark.slow
@pytest.mark.parametrize("chunk", [1, 16, 300])
def test_only_two_windows_are_held(chunk: int) -> None:
    dataset = Watched(30_000, chunk)
    stream = source(dataset, keep="disk", workers=2)
    window = stream.order.chunks_per_window * chunk
    for batch in range(230):
        stream.fetch(Share(128).of_batch(batch))
        assert stream.cache.held() <= 2 * window + 64
    stream.close()


def test_reads_ahead_of_need() -> None:
    """The next window is read during training on the first."""
    dataset = Watched(10_000, 128)
    stream = source(dataset, keep="disk", workers=2)
    stream.fetch(torch.arange(4))
    deadline = time.monotonic() + 20
    while len(dataset.reads) < 16 and time.monotonic() < deadline:
        time.sleep(0.01)
    read = sorted(lenses[0] // 128 for lenses in dataset.reads)
    assert read == sorted(stream.order.chunks_of(0) + stream.order.chunks_of(1))
    stream.close()


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("keep", ["disk", "memory", "device"])
def test_what_cannot_be_read_is_told(workers: int, keep: str) -> None:
    class Damaged(Watched):
        def read(self, index: Sequence[int]) -> tuple[Tensor, dict[str, Tensor]]:
            if 700 in index:
                raise LenskitError("chunk 10 is damaged")
            return super().read(index)

    with pytest.raises(LenskitError, match="^chunk 10 is damaged$"):
        run_through(Damaged(1500, 64), 100, 1, keep=keep, workers=workers)


class Holes(Watched):
    """Third-party dataset with undefined pixels."""

    image_shape = (1, 4, 4)

    def __init__(self, value: float, rows: int) -> None:
        super().__init__(100, 8)
        self.value, self.rows = value, rows

    def read(self, index: Sequence[int]) -> tuple[Tensor, dict[str, Tensor]]:
        images = super().read(index)[0][..., :1, :1].repeat(1, 1, 1, 4, 4)
        for row, lens in enumerate(index):
            if lens == 77:
                images[row, 0, 0, : self.rows] = self.value
        return images, {}


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
@pytest.mark.parametrize("keep", ["disk", "memory", "device"])
def test_undefined_pixels_are_filled(value: float, keep: str, caplog: pytest.LogCaptureFixture) -> None:
    """Undefined pixels of a constant image get its value."""
    caplog.set_level(logging.INFO)
    stream = source(Holes(value, rows=1), keep=keep)
    try:
        for batch in range(4):  # each lens is read in both passes, and reported once
            made = stream.batch(stream.fetch(Share(50).of_batch(batch)))
            expected = made.index.float()[:, None, None, None].expand(-1, 1, 4, 4)
            torch.testing.assert_close(made.views[0], expected)
    finally:
        stream.close()
    assert caplog.messages == ["lens lens-77: 4 of 16 pixels are undefined and are filled"]
    lenses = StoredLenses(Holes(value, rows=3)).read([76, 77])
    torch.testing.assert_close(lenses.images, torch.tensor([76.0, 77.0])[:, None, None, None].expand(-1, 1, 4, 4))


@pytest.mark.parametrize("keep", ["disk", "device"])
def test_an_image_that_is_undefined_is_told(keep: str) -> None:
    with pytest.raises(LenskitError, match="^lens lens-77 holds no image: all pixels are undefined$"):
        run_through(Holes(torch.nan, rows=4), 50, 1, keep=keep)


def test_checking_counts_undefined_pixels_and_changes_none() -> None:
    for rows in (1, 4):
        dataset = Holes(torch.nan, rows)
        dataset.undefined.counts = {}
        told = dict(dataset.check())
        assert len(told) == 13
        bad = "lens lens-77 holds no image: all pixels are undefined" if rows == 4 else ""
        assert told["lenses 72 to 79"] == bad
        assert dataset.undefined.counts == ({} if bad else {"lens-77": 4})


@pytest.mark.parametrize("value", [3e38, 1e-42])
def test_the_largest_and_smallest_pixels_are_finite(value: float) -> None:
    """Squares of such pixels overflow or underflow."""

    class Extreme(Watched):
        def read(self, index: Sequence[int]) -> tuple[Tensor, dict[str, Tensor]]:
            return torch.full((len(index), 1, 1, 2, 2), value), {}

    images, _ = read_lenses(Extreme(100, 8), range(100), 1)
    assert torch.equal(images, torch.full((100, 1, 1, 2, 2), value))


def test_closing_stops_what_is_not_read_yet() -> None:
    """The cache can be used again afterwards."""
    gate = threading.Event()

    class Slow(Watched):
        def read(self, index: Sequence[int]) -> tuple[Tensor, dict[str, Tensor]]:
            gate.wait(20)
            return super().read(index)

    dataset = Slow(10_000, 128)
    stream = source(dataset, keep="disk", workers=2)
    stream.cache.want(range(16))
    stream.close()
    gate.set()
    for thread in threading.enumerate():
        if thread.name.startswith("lenskit-read"):
            thread.join(20)
    assert len(dataset.reads) <= 2
    assert len(stream.fetch(torch.arange(100))["index"]) == 100
    stream.close()
