"""Compositions of pairs: parts act in order, each with separate random numbers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from lenskit.config import Config
from lenskit.data.training_set import SimulatedTrainingSet
from lenskit.errors import UsageError
from lenskit.generator import KeyedGenerator
from lenskit.kinds.pairs import Composition, PairStrategy, Transform
from lenskit.kinds.parameter import Parameter
from lenskit.preprocessing.preprocess import Preprocess


class Drawn(Transform):
    """Transform that adds a drawn number to an image, and multiplies the image."""

    def __init__(self, factor: float = 1.0) -> None:
        self.factor = factor

    def transform(
        self, images: Tensor, parameters: dict[str, Tensor], rng: KeyedGenerator
    ) -> tuple[Tensor, dict[str, Tensor]]:
        numbers = torch.stack([rng.uniform(f"number/{view}") for view in range(images.shape[1])], 1)
        return self.factor * images + numbers[..., None, None, None], parameters


def generator(index: Tensor) -> KeyedGenerator:
    return KeyedGenerator(0, "train", "views", index, torch.zeros_like(index))


def pairs(name: str, **options: Any) -> PairStrategy:
    return Config.resolve({"pairs": {"name": name, **options}}, only=("pairs",)).build("pairs")


def views(strategy: PairStrategy, images: Tensor) -> Tensor:
    return torch.stack(strategy(images, {}, generator(torch.arange(len(images)))).views, 1)


IMAGES = torch.randn(400, 2, 1, 8, 8, generator=torch.Generator().manual_seed(0))
ZEROS = torch.zeros(400, 2, 1, 2, 2)


def numbers(*parts: str) -> Tensor:
    """Return all numbers that named parts draw for the views of 400 lenses."""
    composition = Composition(pairs("lens-fixed"), {part: Drawn() for part in parts})
    return views(composition, ZEROS)[..., 0, 0, 0]


def test_parts_have_numbers_of_their_own_for_each_view() -> None:
    drawn = torch.cat([numbers("one"), numbers("other"), views(Drawn(), ZEROS[:, :1])[..., 0, 0, 0]], 1)
    correlation = torch.corrcoef(drawn.T) - torch.eye(6)
    assert correlation.abs().max() < 4 / 400**0.5


def test_the_numbers_of_a_part_depend_on_no_other_part() -> None:
    torch.testing.assert_close(numbers("one", "other"), numbers("one") + numbers("other"))
    torch.testing.assert_close(numbers("other", "one"), numbers("one", "other"))


def test_parts_come_in_the_order_in_which_they_are_named() -> None:
    ten, one = Drawn(10.0), Drawn()
    first = views(Composition(pairs("lens-fixed"), {"ten": ten, "one": one}), ZEROS)
    last = views(Composition(pairs("lens-fixed"), {"one": one, "ten": ten}), ZEROS)
    torch.testing.assert_close(first[..., 0, 0, 0], numbers("ten") + numbers("one"))
    torch.testing.assert_close(last[..., 0, 0, 0], numbers("ten") + 10 * numbers("one"))


def test_the_first_part_says_what_is_drawn_shared_and_how_many_views_there_are() -> None:
    for first in ("lens-fixed", "source-fixed", "single", "default", "blur"):
        alone, more = pairs(first), pairs(f"{first}+noise")
        assert (more.draws, more.shared_groups, more.views) == (alone.draws, alone.shared_groups, alone.views)
        assert views(more, IMAGES[:4, : alone.draws]).shape == (4, alone.views, 1, 8, 8)


def test_the_first_part_is_as_if_it_were_alone() -> None:
    """`default+noise` adds noise to exactly the views of `default`."""
    alone, nothing = (
        views(pairs("default"), IMAGES[:, :1]),
        views(pairs("default+noise", noise={"level": 0}), IMAGES[:, :1]),
    )
    assert torch.equal(alone, nothing)


def test_a_part_does_to_the_views_what_it_does_alone() -> None:
    options = {"sigma": 5.0, "probability": 1.0}
    blurred, alone = (
        views(pairs("lens-fixed+blur", blur=options), IMAGES),
        views(pairs("blur", **options), IMAGES[:, :1]),
    )
    assert torch.equal(blurred[:, 0], alone[:, 0])
    assert not torch.equal(blurred[:, 1], alone[:, 1])  # another image


def test_every_part_learns_what_is_recorded() -> None:
    known = (Parameter("odd_1", spin=1), Parameter("odd_2", spin=1))
    strategy = pairs("lens-fixed-dihedral+flip", flip={"probability": 1.0}, turn="no", mirror="no")
    strategy.prepare(known, (1, 8, 8))
    values = {"odd_1": torch.ones(400, 2), "odd_2": torch.ones(400, 2)}
    batch = strategy(IMAGES, values, generator(torch.arange(400)))
    assert torch.equal(batch.parameters["odd_1"], -values["odd_1"])
    assert torch.equal(batch.parameters["odd_2"], values["odd_2"])


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("lens-fixed+single", "pair strategy 'single' makes views itself, so it must be the first part"),
        ("blur+lens-fixed", "pair strategy 'lens-fixed' makes views itself"),
        ("lens-fixed+blur+blur", "pair strategy 'lens-fixed[+]blur[+]blur' names a part twice"),
        ("lens-fixed+blurr", "unknown pair strategy 'blurr'; did you mean blur"),
        ("lens-fixed+", "unknown pair strategy ''"),
    ],
)
def test_what_cannot_be_put_together_is_one_line(name: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        pairs(name)


def test_options_of_a_wrong_part_are_one_line() -> None:
    with pytest.raises(UsageError, match="pair strategy 'lens-fixed' has no option 'blur'"):
        pairs("lens-fixed+noise", blur={"sigma": 1})
    with pytest.raises(UsageError, match="sigma is -1: the standard deviation of a blur must be 0 or more"):
        pairs("lens-fixed+blur", blur={"sigma": -1})


def test_an_option_of_the_first_part_that_is_called_as_another_part_stays_its_default() -> None:
    resolved = Config.resolve({"pairs": {"name": "default+blur", "blur": {"probability": 1.0}}}, only=("pairs",))
    again = Config.resolve(resolved.sections, only=("pairs",))
    assert again.sections == resolved.sections
    assert again.sections["pairs"]["blur"]["probability"] == 1.0


def test_images_that_no_view_can_be_made_of_are_refused_before_the_first_batch(tmp_path: Path) -> None:
    simulator = Config.resolve({"simulator": {"name": "blobs"}}, only=("simulator",)).build("simulator")
    simulator.image_shape = (1, 16, 12)
    with pytest.raises(UsageError, match="images of 16 x 12 pixels cannot be rotated by 90 degrees: make them square"):
        SimulatedTrainingSet(simulator, pairs("lens-fixed+dihedral"), Preprocess(), 0)
    SimulatedTrainingSet(simulator, pairs("lens-fixed+dihedral"), Preprocess(size=16), 0)
    SimulatedTrainingSet(simulator, pairs("lens-fixed+dihedral", dihedral={"turn": "no"}), Preprocess(), 0)


@pytest.mark.slow
def test_stored_pairs_are_transformed(lenskit: Callable[..., Any]) -> None:
    """Images stored for one composition can be drawn and trained on with others.

    Only the first part of a composition matters for the stored images.
    """
    make = ("simulate", "--simulator", "blobs", "--lenses", 16, "--workers", 1)
    assert lenskit(*make, "--pairs", "lens-fixed+blur", "--out", "a.zarr").status == 0
    assert lenskit("simulate", "--out", "a.zarr").status == 0
    for name in ("lens-fixed", "lens-fixed+noise", "lens-fixed+noise+blur", "noise+blur"):
        drawn = lenskit("show", "--data", "a.zarr", "--pairs", name, "--lenses", 2, "--dpi", 40, "-o", f"{name}.png")
        assert (drawn.status, drawn.err) == (0, "")
    assert len({Path(f"{name}.png").read_bytes() for name in ("lens-fixed", "lens-fixed+noise", "noise+blur")}) == 3
    refused = lenskit("show", "--data", "a.zarr", "--pairs", "source-fixed+blur").complaint()
    assert refused.startswith("the pairs share source, but the images of a lens in the data share lens")


@pytest.mark.slow
def test_a_title_and_an_explanation_name_every_part(lenskit: Callable[..., Any]) -> None:
    show = ("show", "--simulator", "blobs", "--lenses", 2, "-o", "a.svg")
    assert lenskit(*show, "--pairs", "lens-fixed+blur", "--pairs", "single").status == 0
    explained = lenskit("info", "lens-fixed+blur").out
    assert "lens-fixed (pairs): " in explained
    part = "blur (pairs): Each view blurred at random"
    assert f"\nthen, with options --set pairs.blur.OPTION=VALUE:\n{part}\n" in explained
    assert lenskit("info", "lens-fixed+single").complaint().startswith("pair strategy 'single' makes views itself")
