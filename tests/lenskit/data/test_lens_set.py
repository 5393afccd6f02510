"""A lens is the same in every chunk, selection and order of views."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from lenskit.chosen import build
from lenskit.data.lens_set import ArrayLenses, LensSet, join_values
from lenskit.data.simulated import SimulatedLenses
from lenskit.data.stored import StoredLenses
from lenskit.errors import LenskitError
from lenskit.kinds.dataset import Dataset
from lenskit.kinds.parameter import Parameter


class Numbered(Dataset):
    """Dataset of two images per lens: the number of the lens, and the number plus 0.5."""

    parameters = (Parameter("number"),)
    image_shape, views = (1, 8, 8), 2

    def __init__(self, lenses: int, chunk: int = 1) -> None:
        self.names = [f"lens-{i}" for i in range(lenses)]
        self.chunk = chunk

    def read(self, index: Sequence[int]) -> tuple[Tensor, dict[str, Tensor]]:
        number = torch.tensor(list(index), dtype=torch.float32)
        images = number[:, None] + torch.tensor([0.0, 0.5])
        return images[:, :, None, None, None].expand(-1, -1, *self.image_shape).clone(), {"number": number}


def blobs(**options) -> SimulatedLenses:
    return SimulatedLenses(build("simulator", "blobs", {}), seed=1, split="probe", **options)


@pytest.mark.parametrize("chunk", [1, 3, 64])
def test_simulated_lenses_do_not_depend_on_chunks(chunk: int) -> None:
    lenses = blobs(index=10)
    parts = list(lenses.chunks(chunk))
    assert [len(part) for part in parts] == [min(chunk, 10 - start) for start in range(0, 10, chunk)]
    scene = lenses.simulator.scene(1, "probe", torch.arange(10))
    images = torch.cat([part.images for part in parts])
    torch.testing.assert_close(images, lenses.simulator.render(scene), rtol=0, atol=1e-5)
    values = join_values(part.arrays() for part in parts)
    for parameter in lenses.parameters:
        np.testing.assert_array_equal(values[parameter.name], scene[parameter.name].double())
        np.testing.assert_array_equal(values[parameter.name], lenses.values()[parameter.name])


@pytest.mark.slow
@given(data=st.data(), chunk=st.integers(1, 5), views=st.integers(1, 2))
@settings(deadline=None, max_examples=40)
@pytest.mark.parametrize("make", [lambda: blobs(index=12), blobs, lambda: StoredLenses(Numbered(12, 4))])
def test_a_selection_holds_the_lenses_of_its_rows(
    make: Callable[[], LensSet], data: st.DataObject, chunk: int, views: int
) -> None:
    """The same holds for a selection of a selection, and for an endless set."""
    lenses = make()
    whole = lenses.read(range(12), views)
    rows = np.array(data.draw(st.lists(st.integers(0, 11), min_size=1, max_size=12)))
    chosen = lenses.select(rows)
    some = np.array(data.draw(st.lists(st.booleans(), min_size=len(rows), max_size=len(rows))))
    for selection, expected in ((chosen, rows), (chosen.select(some), rows[some])):
        assert len(selection) == selection.size == len(expected)
        assert selection.index.tolist() == expected.tolist()
        assert selection.names == lenses.names_of(expected)
        first = whole.first_views(views).arrays()
        for name, values in selection.values().items():
            np.testing.assert_array_equal(values, first[name][expected])
        parts = list(selection.chunks(chunk, views))
        assert all(len(part) <= max(chunk, views) for part in parts)
        for number, part in zip(expected, _images(parts, views), strict=True):
            torch.testing.assert_close(part, whole.images[number * views : (number + 1) * views], rtol=0, atol=1e-5)


def _images(parts, views: int) -> list[Tensor]:
    return [image for part in parts for image in part.images.unflatten(0, (-1, views))]


def test_views_follow_each_other() -> None:
    for lenses in (blobs(index=4, shared_groups=["lens"]), StoredLenses(Numbered(4))):
        read = lenses.read([2, 0], views=2)
        assert read.lens.tolist() == [2, 2, 0, 0]
        assert read.view.tolist() == [0, 1, 0, 1]
    assert read.images[:, 0, 0, 0].tolist() == [2, 2.5, 0, 0.5]
    assert read.first_views(2).images[:, 0, 0, 0].tolist() == [2, 0]


def test_groups_are_shared_by_the_views_of_a_lens() -> None:
    alone, shared = (
        blobs(index=4, shared_groups=groups).read(range(4), views=2).values["width"] for groups in ((), ("lens",))
    )
    assert torch.equal(shared[::2], shared[1::2])
    assert not torch.equal(alone[::2], alone[1::2])
    assert torch.equal(alone[::2], shared[::2])


def test_simulated_lenses_leave_out_only_light_that_can_be() -> None:
    lenses = blobs(index=4)
    noise = lenses.simulator.scene(1, "probe", torch.arange(4))["noise"]
    torch.testing.assert_close(lenses.read(range(4), omit=["source"]).images, 0.05 * noise)
    with pytest.raises(LenskitError, match="this simulator cannot leave out lens, psf"):
        next(lenses.chunks(omit=["lens", "psf", "source"]))
    with pytest.raises(LenskitError, match="no light can be left out of stored images"):
        StoredLenses(Numbered(4)).read([0], omit=["source"])


@pytest.mark.parametrize(("size", "expected"), [(3, [4, 4, 1]), (8, [8, 1]), (100, [9])])
def test_stored_lenses_are_read_in_whole_chunks(size: int, expected: list[int]) -> None:
    lenses = StoredLenses(Numbered(9, chunk=4))
    parts = list(lenses.chunks(size))
    assert [len(part) for part in parts] == expected
    np.testing.assert_array_equal(torch.cat([part.images for part in parts])[:, 0, 0, 0], np.arange(9))


def test_values_of_stored_lenses_need_no_pixels() -> None:
    class Unreadable(Numbered):
        def read(self, index: Sequence[int]) -> tuple[Tensor, dict[str, Tensor]]:
            raise AssertionError("pixels were read")

        def read_parameters(self, index: Sequence[int]) -> dict[str, Tensor]:
            return {"number": torch.tensor(list(index)).float()}

    assert StoredLenses(Unreadable(7)).select([5, 2]).values()["number"].tolist() == [5, 2]


def test_readers_are_asked_for_ranges_where_lenses_are_consecutive() -> None:
    class Watched(Numbered):
        def read(self, index: Sequence[int]) -> tuple[Tensor, dict[str, Tensor]]:
            asked.append(index)
            return super().read(index)

    asked: list[Sequence[int]] = []
    lenses = StoredLenses(Watched(9))
    lenses.read([0])  # the first read also checks the contract of the dataset
    asked.clear()
    lenses.read(range(2, 5))
    lenses.select([3, 4, 8]).read([1, 2])
    assert asked == [range(2, 5), [4, 8]]


def test_an_array_is_a_lens_set() -> None:
    images = torch.rand(5, 1, 4, 4)
    lenses = ArrayLenses(images)
    assert lenses.names == ["0", "1", "2", "3", "4"]
    assert torch.equal(torch.cat([part.images for part in lenses.select([4, 1, 2]).chunks(2)]), images[[4, 1, 2]])


def test_incomplete_data_are_refused() -> None:
    class Incomplete(Numbered):
        missing = 3

    with pytest.raises(LenskitError, match="the data are incomplete: 3 of 7 lenses are missing"):
        StoredLenses(Incomplete(7))
    with pytest.raises(LenskitError, match="the data hold no lenses"):
        StoredLenses(Numbered(0))
