"""The lens-fixed pair."""

from __future__ import annotations

import torch

from lenskit.plugin import KeyedGenerator
from lenskit_lensiam.pairs import LensFixed


def test_lens_fixed_returns_the_two_renderings_as_they_are():
    images = torch.randn(3, 2, 4, 8, 8)
    parameters = {"theta_E": torch.rand(3, 2)}
    index = torch.tensor([7, 1, 5])
    batch = LensFixed()(images, parameters, KeyedGenerator(0, "train", "views", index, torch.zeros_like(index)))
    assert len(batch.views) == LensFixed.views == LensFixed.draws
    for view, expected in zip(batch.views, (images[:, 0], images[:, 1]), strict=True):
        assert torch.equal(view, expected)
    assert torch.equal(batch.parameters["theta_E"], parameters["theta_E"])
    assert torch.equal(batch.index, index)


def test_lens_fixed_shares_the_lens_and_nothing_else():
    assert LensFixed.shared == {"lens"}
