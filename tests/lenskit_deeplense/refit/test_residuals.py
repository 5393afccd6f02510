"""Chi-square of residuals, and the noise that is estimated from them."""

from __future__ import annotations

import pytest
import torch

from lenskit_deeplense.refit.residuals import binned_chi2, estimated_variance


def ring(n: int, pixels: int = 64) -> torch.Tensor:
    """Return an arc of unit brightness with a radius of a third of the frame."""
    axis = torch.arange(pixels) - (pixels - 1) / 2
    r = torch.hypot(axis, axis[:, None])
    return torch.exp(-((r - pixels / 3) ** 2) / 18).expand(n, -1, -1)


@pytest.mark.parametrize("bin", [1, 2, 4, 5])
def test_noise_has_a_chi_square_of_one(bin: int) -> None:
    arc = ring(200)
    variance = 0.01 + 0.02 * arc
    noise = variance.sqrt() * torch.randn(arc.shape, generator=torch.Generator().manual_seed(bin))
    found = binned_chi2(noise, variance, arc, bin=bin, fraction=0.1)
    assert found.shape == (200,)
    # About 100 bins of 4 pixels per image, each with a variance of 2: 1 % for 200 images.
    assert found.mean().item() == pytest.approx(1, abs=0.04)


def test_bins_show_what_neighbouring_pixels_have_in_common() -> None:
    """A residual of a third of the noise in all pixels adds bin^2 / 9 to each bin."""
    arc = ring(50)
    variance = torch.full_like(arc, 0.09)
    noise = 0.3 * torch.randn(arc.shape, generator=torch.Generator().manual_seed(0))
    for bin in (1, 4):
        change = binned_chi2(noise + 0.1, variance, arc, bin=bin, fraction=0.1)
        assert change.mean().item() == pytest.approx(1 + bin**2 / 9, abs=0.1)


def test_only_bins_with_arc_light_count() -> None:
    arc = ring(1)
    residual = torch.where(arc < 1e-3, 100.0, 0.0)
    assert binned_chi2(residual, torch.ones_like(arc), arc, bin=4, fraction=0.1).item() == 0
    assert binned_chi2(residual, torch.ones_like(arc), torch.zeros_like(arc), bin=4, fraction=0.1).isfinite().all()


@pytest.mark.parametrize(("background", "photon"), [(0.01, 0.0), (0.0, 0.02), (0.003, 0.01), (1e-12, 1e-11)])
def test_the_noise_is_found_from_the_residual(background: float, photon: float) -> None:
    light = ring(20) + 0.05
    variance = background + photon * light
    noise = variance.sqrt() * torch.randn(light.shape, generator=torch.Generator().manual_seed(3))
    found = estimated_variance(noise, light)
    assert (found > 0).all()
    assert (found / variance).mean().item() == pytest.approx(1, abs=0.05)


def test_a_smooth_residual_is_no_noise() -> None:
    light = ring(4)
    noise = 0.1 * torch.randn(light.shape, generator=torch.Generator().manual_seed(4))
    smooth = 0.1 * torch.linspace(-1, 1, 64).sin()[:, None]
    found = estimated_variance(noise + smooth, light)
    assert (found / 0.01).mean().item() == pytest.approx(1, abs=0.05)


def test_an_arc_of_negative_brightness_has_a_chi_square_too() -> None:
    arc = -ring(1)
    assert binned_chi2(torch.ones_like(arc), torch.ones_like(arc), arc, bin=4, fraction=0.1).item() == 16
