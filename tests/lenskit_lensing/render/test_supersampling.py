"""Averages over pixels against closed forms and finer rays."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lenskit_lensing.render.supersampling import FINE, FRACTION, averaged
from lenskit_lensing.simulators.hst import HST, normalised

torch.set_num_threads(1)
pytestmark = pytest.mark.filterwarnings("ignore:`axes` should not be `None`:DeprecationWarning:lenstronomy")

MIDDLES = (torch.arange(30, dtype=torch.float64) - 14.5) * 0.1


def spots(*centers: tuple[float, float], width: float = 0.05):
    """Gaussians narrower than a pixel, and closed forms of the averages over pixels."""
    middle = torch.tensor(centers, dtype=torch.float64)[:, :, None, None]

    def brightness(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return torch.exp(-((x - middle[:, 0]) ** 2 + (y - middle[:, 1]) ** 2) / (2 * width**2))

    edges = torch.cat([MIDDLES - 0.05, MIDDLES[-1:] + 0.05])
    along = torch.erf((edges - middle[:, :, 0]) / (width * math.sqrt(2))).diff(dim=2) * width * math.sqrt(math.pi / 2)
    return brightness, along[:, 1, :, None] * along[:, 0, None, :] / 0.1**2


@pytest.mark.parametrize(("rays", "tolerance"), [(4, 1.2e-2), (16, 8e-4), ("adaptive", 3e-3)])
def test_averages_are_integrals(rays: int, tolerance: float) -> None:
    brightness, exact = spots((0.03, -0.2), (1.41, 1.38))
    found = averaged(brightness, MIDDLES, 0.1, rays)
    assert found.shape == (2, 30, 30)
    assert (found - exact).abs().max() < tolerance * exact.max()


def test_one_ray_is_the_middle() -> None:
    brightness, _ = spots((0.03, -0.2))
    assert torch.equal(averaged(brightness, MIDDLES, 0.1, 1), brightness(MIDDLES[None, :], MIDDLES[:, None]))


def test_adaptive_is_one_ray_or_many_in_a_fixed_share_of_pixels() -> None:
    brightness, _ = spots((0.03, -0.2))
    adaptive, once, fine = (averaged(brightness, MIDDLES, 0.1, rays) for rays in ("adaptive", 1, FINE))
    close = torch.isclose(adaptive, fine, rtol=1e-12, atol=0)
    assert (close | (adaptive == once)).all()
    assert (~torch.isclose(adaptive, once, rtol=1e-9, atol=0)).sum() <= round(FRACTION * 900)
    assert close.flatten()[once.flatten().argmax()]


@settings(max_examples=20, deadline=None)
@given(x=st.floats(-1.4, 1.4), y=st.floats(-1.4, 1.4))
def test_images_do_not_depend_on_their_neighbours(x: float, y: float) -> None:
    alone, _ = spots((x, y))
    together, _ = spots((0.5, 0.1), (x, y))
    images = averaged(together, MIDDLES, 0.1, "adaptive")
    assert torch.allclose(averaged(alone, MIDDLES, 0.1, "adaptive")[0], images[1], rtol=1e-12)


@pytest.mark.slow
def test_adaptive_arcs_come_close_to_rays_everywhere() -> None:
    scene = HST().scene(0, "train", torch.arange(16))
    exact, one, adaptive = (normalised(HST(supersampling=rays).renderer(scene)[0]) for rays in (8, 1, "adaptive"))
    errors, before = ((image - exact).abs().amax((1, 2)) for image in (adaptive, one))
    assert errors.max() < 0.01
    assert (errors < before / 8).float().mean() > 0.8


@pytest.mark.slow
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-4), (torch.float64, 1e-8)])
def test_renderers_agree_on_adaptive_arcs(dtype: torch.dtype, tolerance: float) -> None:
    fast, reference = (HST(supersampling="adaptive", renderer=name) for name in ("torch", "lenstronomy"))
    scene = fast.scene(6, "train", torch.arange(6), dtype=dtype)
    exact = {name: values.double() if values.is_floating_point() else values for name, values in scene.items()}
    ours, theirs = fast.renderer(scene)[0].double(), reference.renderer(exact)[0]
    assert (normalised(ours) - normalised(theirs)).abs().max() < tolerance
