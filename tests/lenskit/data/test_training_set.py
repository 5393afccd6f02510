"""A batch depends only on its number, for simulated and stored lenses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from lenskit.chosen import build
from lenskit.data.stored import StoredLenses
from lenskit.data.training_set import Keep, Share, SimulatedTrainingSet, StoredTrainingSet
from lenskit.errors import LenskitError, UsageError
from lenskit.kinds.dataset import Dataset
from lenskit.kinds.parameter import Parameter
from lenskit.preprocessing.preprocess import Preprocess

SIMULATORS: dict[str, dict] = {"blobs": {}, "hst": {"pixels": 32, "theta_E": "uniform(0.3, 0.6)"}}


class Numbered(Dataset):
    """Dataset of constant images: the number of the lens, plus 0.5 in the second view.

    The number is also the label.
    """

    parameters = (Parameter("number"),)
    image_shape = (1, 8, 8)

    def __init__(self, lenses: int, views: int = 1, shared: frozenset[str] = frozenset(), chunk: int = 1) -> None:
        self.names = [f"lens-{i}" for i in range(lenses)]
        self.views, self.shared_groups, self.chunk = views, shared, chunk

    def read(self, index: Sequence[int]) -> tuple[Tensor, dict[str, Tensor]]:
        number = torch.tensor(list(index), dtype=torch.float32)
        images = number[:, None] + 0.5 * torch.arange(self.views)
        return images[:, :, None, None, None].expand(-1, -1, *self.image_shape).clone(), {"number": number}


@pytest.fixture(scope="module", params=[(s, p) for s in SIMULATORS for p in ("lens-fixed", "default")], ids="-".join)
def live(request: pytest.FixtureRequest) -> SimulatedTrainingSet:
    simulator, pairs = request.param
    return SimulatedTrainingSet(
        build("simulator", simulator, SIMULATORS[simulator]), build("pairs", pairs, {}), Preprocess(), 3
    )


def test_share_deals_out_every_place_once() -> None:
    places = [Share(10, rank, 3).of_batch(4).tolist() for rank in range(3)]
    assert places == [[40, 43, 46, 49], [41, 44, 47], [42, 45, 48]]


@given(st.integers(1, 8), st.integers(0, 30), st.integers(0, 2**33))
def test_ranks_together_are_one_process(world: int, more: int, batch: int) -> None:
    size = world + more
    dealt = torch.cat([Share(size, rank, world).of_batch(batch) for rank in range(world)])
    assert dealt.sort().values.tolist() == Share(size).of_batch(batch).tolist()


def test_more_processes_than_lenses_are_refused() -> None:
    with pytest.raises(UsageError, match="a batch of 2 lenses cannot be shared by 3 processes: use --batch-size 3"):
        Share(2, 0, 3)


@pytest.mark.parametrize("world", [2, 3])
def test_ranks_make_the_images_of_one_process(live: SimulatedTrainingSet, world: int) -> None:
    whole = live.batch(live.fetch(Share(6).of_batch(5)))
    assert whole.index.tolist() == list(range(30, 36))
    for rank in range(world):
        part = live.batch(live.fetch(Share(6, rank, world).of_batch(5)))
        assert torch.equal(part.index, whole.index[rank::world])
        for name, values in part.parameters.items():
            assert torch.equal(values, whole.parameters[name][rank::world]), name
        for view, expected in zip(part.views, whole.views, strict=True):
            peak = expected.abs().amax()
            assert ((view - expected[rank::world]).abs() <= 1e-5 * peak).all()


@pytest.mark.slow
@given(places=st.lists(st.integers(0, 50), min_size=1, max_size=8, unique=True))
@settings(deadline=None, max_examples=8)
def test_live_lenses_do_not_depend_on_the_batch(live: SimulatedTrainingSet, places: list[int]) -> None:
    together = live.batch(live.fetch(torch.tensor(places)))
    for row, place in enumerate(places):
        alone = live.batch(live.fetch(torch.tensor([place])))
        for name, values in alone.parameters.items():
            assert torch.equal(values[0], together.parameters[name][row]), name
        for view, expected in zip(alone.views, together.views, strict=True):
            assert ((view[0] - expected[row]).abs() <= 1e-5 * expected[row].abs().amax()).all()


def test_views_show_what_the_pairs_share(live: SimulatedTrainingSet) -> None:
    """Parameters of shared groups are equal in both views, other parameters differ."""
    batch = live.batch(live.fetch(torch.arange(32)))
    assert len(batch.views) == live.pairs.views == 2
    for parameter in live.parameters:
        one, other = batch.parameters[parameter.name].unbind(1)
        if live.pairs.draws == 1:  # there is one image, and a view may be its mirror image
            assert torch.equal(one.abs(), other.abs()), parameter.name
        else:
            assert torch.equal(one, other) == (parameter.group in live.pairs.shared_groups), parameter.name
    assert not torch.allclose(*batch.views)


def test_seeds_are_other_lenses(live: SimulatedTrainingSet) -> None:
    other = SimulatedTrainingSet(live.lenses.simulator, live.pairs, live.preprocess, seed=4)
    one, two = (source.batch(source.fetch(torch.arange(4))) for source in (live, other))
    name = live.parameters[0].name
    assert (one.parameters[name] != two.parameters[name]).all()


def test_groups_that_the_simulator_lacks_are_refused() -> None:
    pairs = build("pairs", "lens-fixed", {})
    pairs.shared_groups = frozenset({"lens", "halo"})
    with pytest.raises(UsageError, match="the pairs share halo, but the simulator's groups are lens, source, instrume"):
        SimulatedTrainingSet(build("simulator", "blobs", {}), pairs, Preprocess(), 0)


# --- Stored ---


def stored_source(dataset: Dataset, pairs: str = "single", seed: int = 0, **held: Any) -> StoredTrainingSet:
    return StoredTrainingSet(dataset, build("pairs", pairs, {}), Preprocess("linear"), seed, **held)


def test_every_seed_has_its_order() -> None:
    orders = [stored_source(Numbered(50), seed=seed).fetch(torch.arange(50))["index"].tolist() for seed in (0, 1, 0)]
    assert orders[0] == orders[2] != orders[1]


def test_labels_line_up_with_images() -> None:
    source = stored_source(Numbered(7))
    batch = source.batch(source.fetch(torch.arange(3, 17)))
    assert torch.equal(batch.views[0].mean((1, 2, 3)), batch.index.float())
    assert torch.equal(batch.parameters["number"][:, 0], batch.index.float())


@pytest.mark.parametrize("keep", ["disk", "memory", "device"])
@pytest.mark.parametrize("workers", [0, 2])
def test_batches_are_the_same_however_they_are_held(keep: Keep, workers: int) -> None:
    """The same holds for batches that cover two or more passes."""
    plain, source = Numbered(7, chunk=3), stored_source(Numbered(7, chunk=3), keep=keep, workers=workers)
    for number in range(8):
        fetched = source.fetch(Share(5).of_batch(number))
        batch = source.batch(fetched)
        images, parameters = plain.read(batch.index.tolist())
        assert torch.equal(batch.views[0], images[:, 0])
        assert torch.equal(batch.parameters["number"][:, 0], parameters["number"])
        expected = stored_source(Numbered(7, chunk=3), keep="disk", workers=0).fetch(Share(5).of_batch(number))
        assert torch.equal(fetched["index"], expected["index"])
    source.close()


@pytest.mark.parametrize(("lenses", "keep"), [(4, "memory"), (5, "disk")])
def test_small_data_are_kept_in_memory(lenses: int, keep: str) -> None:
    class Large(Numbered):
        image_shape = (1, 2**13, 2**13)  # 256 MiB an image; no pixel is read

    assert stored_source(Large(lenses, views=3)).keep == keep


@pytest.mark.parametrize("keep", ["memory", "device"])
def test_what_does_not_fit_is_refused_before_it_is_read(keep: Keep) -> None:
    class Vast(Numbered):
        image_shape = (1, 2**20, 2**20)

    with pytest.raises(
        UsageError, match=r"the images need 30786.* GB, but memory has .* GB: use --set input.keep=disk"
    ):
        stored_source(Vast(7), keep=keep).check(torch.device("cpu"))
    stored_source(Vast(7), keep="disk").check(torch.device("cpu"))


def test_parameters_may_differ_between_the_images_of_a_lens() -> None:
    class Own(Numbered):
        parameters = (Parameter("number"), Parameter("view"))

        def read(self, index: Sequence[int]) -> tuple[Tensor, dict[str, Tensor]]:
            images, known = super().read(index)
            return images, known | {"view": images.mean((2, 3, 4))}

    source = stored_source(Own(7, 3, frozenset({"lens"})), "lens-fixed")
    batch = source.batch(source.fetch(torch.arange(7)))
    assert torch.equal(batch.parameters["number"], batch.index[:, None].expand(-1, 2).float())
    assert torch.equal(batch.parameters["view"], batch.index[:, None] + torch.tensor([0.0, 0.5]))
    known = StoredLenses(Own(7, 3)).read(range(7)).values
    assert torch.equal(known["view"], torch.arange(7.0))


def test_a_look_is_at_all_of_few_lenses_and_at_many_places_of_many(live: SimulatedTrainingSet) -> None:
    assert torch.equal(stored_source(Numbered(7)).sample(1000).index, torch.arange(7))
    seen = stored_source(Numbered(10_000), "single").sample(1024)
    assert 900 < len(seen.index) <= 1024
    assert torch.equal(seen.views[0][:, 0, 0, 0], seen.index.float())
    assert seen.index.diff().max() < 400
    assert (seen.index[0], seen.index[-1]) == (0, 9_999)
    assert torch.equal(live.sample(1000).index, torch.arange(16))


def test_half_precision_comes_out_in_single() -> None:
    class Half(Numbered):
        def read(self, index: Sequence[int]) -> tuple[Tensor, dict[str, Tensor]]:
            images, known = super().read(index)
            return images.half(), known

    source = stored_source(Half(7))
    assert source.batch(source.fetch(torch.arange(3))).views[0].dtype == torch.float32


def test_incomplete_data_are_refused() -> None:
    class Incomplete(Numbered):
        missing = 3

    message = "the data are incomplete: 3 of 7 lenses are missing"
    with pytest.raises(LenskitError, match=message):
        stored_source(Incomplete(7))
    with pytest.raises(LenskitError, match="the data hold no lenses"):
        stored_source(Numbered(0))


def test_lenses_can_be_had_by_their_numbers(live: SimulatedTrainingSet) -> None:
    index = torch.tensor([4, 2])
    for source in (live, stored_source(Numbered(7, 2, frozenset({"lens"})), "lens-fixed")):
        assert source.by_index(index).index.tolist() == [4, 2]
    assert torch.equal(source.by_index(index).views[1].mean((1, 2, 3)), index + 0.5)


def test_stored_pairs_are_the_views_of_one_lens() -> None:
    source = stored_source(Numbered(7, 3, frozenset({"lens"})), "lens-fixed")
    batch = source.batch(source.fetch(torch.arange(7)))
    for view, offset in zip(batch.views, (0.0, 0.5), strict=True):
        assert torch.equal(view.mean((1, 2, 3)), batch.index + offset)
    assert torch.equal(batch.parameters["number"], batch.index[:, None].expand(-1, 2).float())


def test_each_pass_augments_anew_and_reproducibly() -> None:
    class Ramps(Numbered):
        def read(self, index: Sequence[int]) -> tuple[Tensor, dict[str, Tensor]]:
            images, parameters = super().read(index)
            return images + torch.arange(8.0), parameters

    source = stored_source(Ramps(5), "default")
    first, again, second = (source.batch(source.fetch(torch.arange(5) + start)) for start in (0, 0, 5))
    assert torch.equal(first.views[0], again.views[0])
    by_lens = [batch.views[0][batch.index.argsort()] for batch in (first, second)]
    assert ((by_lens[0] - by_lens[1]).abs().amax((1, 2, 3)) > 1e-3).all()


def test_too_few_stored_views_are_refused() -> None:
    with pytest.raises(UsageError, match="need 2 images of each lens, but the data hold 1: use --pairs default"):
        stored_source(Numbered(5), "lens-fixed")


@pytest.mark.parametrize(
    ("shared", "what"), [(set(), "nothing"), ({"source"}, "source"), ({"lens", "source"}, "lens, source")]
)
def test_stored_views_that_share_something_else_are_refused(shared: set[str], what: str) -> None:
    """Sharing more groups is refused too: the pairs draw other groups separately."""
    with pytest.raises(UsageError, match=f"the pairs share lens, but .* in the data share {what}: use data"):
        stored_source(Numbered(5, 2, frozenset(shared)), "lens-fixed")
