"""Pair strategy `noise`: its level and its independence of the image."""

from __future__ import annotations

import pytest
import torch

from lenskit.plugin import KeyedGenerator
from lenskit.toolbox import border_noise
from lenskit_siamese.noise import Noise


def generator(index: torch.Tensor, seed: int = 0) -> KeyedGenerator:
    return KeyedGenerator(seed, "train", "views", index, torch.zeros_like(index))


def images(n: int, views: int = 1, channels: int = 1, size: int = 16) -> torch.Tensor:
    return torch.randn(n, views, channels, size, size, generator=torch.Generator().manual_seed(n))


@pytest.mark.parametrize("scale", [1.0, 1e-12, 1e6])
def test_noise_is_that_of_the_border_times_its_level(scale: float) -> None:
    """A level of white noise multiplies the variance of a white sky by 1 + level^2."""
    sky = scale * images(60, 1, 1, 110) * torch.linspace(0.1, 10, 60)[:, None, None, None, None]
    view, _ = Noise(level=1.5)(sky, {}, generator(torch.arange(60))).views
    ratio = view.flatten(1).std(1) / sky.flatten(1).std(1)
    assert ratio.mean().item() == pytest.approx((1 + 1.5**2) ** 0.5, rel=0.02)
    torch.testing.assert_close(ratio, torch.full((60,), (1 + 1.5**2) ** 0.5), rtol=0.15, atol=0)  # for each image
    added = (view - sky[:, 0]) / border_noise(sky[:, 0])
    assert added.flatten(1).std(1).mean().item() == pytest.approx(1.5, rel=0.01)
    correlation = torch.corrcoef(torch.stack([added.flatten(), (sky / border_noise(sky)).flatten()]))[0, 1]
    assert abs(correlation.item()) < 4 / added.numel() ** 0.5


def test_noise_of_a_shorter_exposure_is_what_is_added_to_a_stretched_sky() -> None:
    """Noise added before and after the stretch is equal, except for the curvature."""
    sky = images(60, 1, 1, 110)
    stretched = (sky / 3).asinh()
    after, _ = Noise(level=1.0)(stretched, {}, generator(torch.arange(60))).views
    before = ((sky + torch.randn(sky.shape, generator=torch.Generator().manual_seed(5))) / 3).asinh()
    assert after.std().item() == pytest.approx(before.std().item(), rel=0.08)


def test_levels_are_drawn_for_every_view() -> None:
    batch = Noise(level="uniform(0, 2)")(images(300, 1, 1, 64), {}, generator(torch.arange(300)))
    levels = [
        ((view - images(300, 1, 1, 64)[:, 0]) / border_noise(images(300, 1, 1, 64)[:, 0])).flatten(1).std(1)
        for view in batch.views
    ]
    for level in levels:
        assert 0 < level.min() < 0.1
        assert 1.9 < level.max() < 2.1
    assert abs(torch.corrcoef(torch.stack(levels))[0, 1]) < 4 / 300**0.5
