"""Pair strategy `multi-crop`."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from lenskit.config import Config
from lenskit.kinds.pairs import Composition
from lenskit.plugin import KeyedGenerator, UsageError
from lenskit_siamese.multi_crop import MultiCrop
from lenskit_siamese.pairs import Single
from lenskit_siamese.transforms import Flip


def generator(index: Tensor, seed: int = 0) -> KeyedGenerator:
    return KeyedGenerator(seed, "train", "views", index, torch.zeros_like(index))


def places(n: int, size: int) -> Tensor:
    """Return images (n, 1, 2, size, size) whose two channels are column and row."""
    axis = torch.arange(size, dtype=torch.float32)
    image = torch.stack([axis.expand(size, size), axis[:, None].expand(size, size)])
    return image.expand(n, 1, -1, -1, -1)


def extents(view: Tensor) -> Tensor:
    """Return width and height (n, 2) in pixels of the part that a view shows."""
    return view.amax((2, 3)) - view.amin((2, 3)) + 1


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 1000), small=st.integers(0, 4))
def test_two_crops_are_large_and_the_others_small(seed: int, small: int) -> None:
    n, size = 16, 64
    pairs = MultiCrop(small=small, large_scale=(0.5, 0.9), small_scale=(0.05, 0.2))
    batch = pairs(places(n, size), {}, generator(torch.arange(n), seed))
    assert len(batch.views) == pairs.views == 2 + small
    for number, view in enumerate(batch.views):
        assert view.shape == (n, 2, size, size)
        low, high = (0.5, 0.9) if number < 2 else (0.05, 0.2)
        width, height = extents(view).unbind(1)
        # The extent is uncertain by half a pixel on either side.
        assert ((width + 0.5) * (height + 0.5) >= low * size**2).all()
        assert ((width - 0.5) * (height - 0.5) <= high * size**2).all()


def test_no_two_views_are_the_same_crop() -> None:
    # A small crop is not at the place of a large one: they are drawn independently.
    views = MultiCrop(small=3, large_scale=(0.2, 0.2), small_scale=(0.2, 0.2))(
        places(64, 64), {}, generator(torch.arange(64))
    ).views
    corners = [view[:, :, 0, 0] for view in views]
    for i in range(len(corners)):
        for j in range(i):
            assert (corners[i] != corners[j]).any(1).float().mean() > 0.9


def test_a_lens_has_its_crops_whatever_the_batch() -> None:
    images = torch.randn(6, 1, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    whole = MultiCrop(small=2)(images, {}, generator(torch.arange(6)))
    part = MultiCrop(small=2)(images[4:], {}, generator(torch.arange(4, 6)))
    for a, b in zip(whole.views, part.views, strict=True):
        torch.testing.assert_close(a[4:], b)


def test_it_goes_together_with_others() -> None:
    images, values = places(4, 32), {"theta_E": torch.arange(4.0)[:, None]}
    first = Composition(MultiCrop(small=2), {"flip": Flip(probability=1.0)})(images, values, generator(torch.arange(4)))
    assert len(first.views) == 4
    assert torch.equal(first.parameters["theta_E"], torch.arange(4.0)[:, None].expand(4, 4))
    # After a plus it has as many views as the strategy before it: here one large view.
    behind = Composition(Single(), {"multi-crop": MultiCrop(large_scale=(0.8, 0.8))})
    (view,) = behind(images, values, generator(torch.arange(4))).views
    assert (extents(view).prod(1) > 0.7 * 32**2).all()


def test_options_of_the_crops() -> None:
    config = Config.resolve(
        {"pairs": {"name": "multi-crop", "small": 3}}, {"pairs": {"small_scale": [0.1, 0.2]}}, only=("pairs",)
    )
    assert config.build("pairs").views == 5
    with pytest.raises(UsageError, match="scale is .*give two numbers"):
        MultiCrop(large_scale=(0.5, 1.5))
