"""Pair strategy `dihedral`: orientations of the views."""

from __future__ import annotations

import pytest
import torch

from lenskit.plugin import KeyedGenerator
from lenskit_siamese.dihedral import Dihedral


def generator(index: torch.Tensor, seed: int = 0) -> KeyedGenerator:
    return KeyedGenerator(seed, "train", "views", index, torch.zeros_like(index))


def orientations(dihedral: Dihedral, n: int) -> torch.Tensor:
    """Return the orientation (n, 2) of two views, one of eight, measured in the image."""
    square = torch.arange(9.0).view(1, 1, 1, 3, 3).expand(n, 2, -1, -1, -1)
    views, _ = dihedral.transform(square, {}, generator(torch.arange(n)))
    ways = [torch.rot90(each, k, (-2, -1)) for each in (square[0, 0], square[0, 0].flip(-1)) for k in range(4)]
    return (views[:, :, None] == torch.stack(ways)).flatten(3).all(3).int().argmax(2)


def test_all_eight_ways_are_as_likely() -> None:
    n = 4000
    for view in orientations(Dihedral(), n).T:
        assert ((view.bincount(minlength=8) - n / 8).abs() < 4 * (n / 8) ** 0.5).all()


@pytest.mark.parametrize(
    ("turn", "mirror", "ways", "alike"),
    [("no", "no", 1, True), ("alike", "alike", 8, True), ("alike", "no", 4, True), ("no", "independently", 2, False),
     ("independently", "alike", 8, False), ("independently", "independently", 8, False)],
)  # fmt: skip
def test_views_are_turned_alike_or_each_on_its_own(turn: str, mirror: str, ways: int, alike: bool) -> None:
    both = orientations(Dihedral(turn=turn, mirror=mirror), 200)
    assert len(set(both.flatten().tolist())) == ways
    assert torch.equal(both[:, 0], both[:, 1]) == alike
    if (turn, mirror) == ("independently", "alike"):
        assert torch.equal(both[:, 0] // 4, both[:, 1] // 4)
