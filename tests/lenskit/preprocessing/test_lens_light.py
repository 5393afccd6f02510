"""Lens light is subtracted, arcs stay, and the result is in units of the noise."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter
from torch import Tensor

from lenskit.errors import UsageError
from lenskit.preprocessing.lens_light import SmoothLight, WithoutLensLight, blurred, filled, noise_map, smooth_light
from lenskit.preprocessing.preprocess import Preprocess

SIZE = 81


def axes() -> tuple[Tensor, Tensor]:
    axis = torch.arange(SIZE, dtype=torch.float32) - (SIZE - 1) / 2
    return axis, axis[:, None]


def galaxy(q: float = 0.7, angle: float = 0.5, center: tuple[float, float] = (0.0, 0.0), n: float = 2.0) -> Tensor:
    """Return a Sersic profile of 12 pixels with a core of 1.5, (1, SIZE, SIZE).

    Its brightness at the centre is about 10.
    """
    x, y = axes()
    dx, dy = x - center[0], y - center[1]
    u = dx * math.cos(angle) + dy * math.sin(angle)
    v = dy * math.cos(angle) - dx * math.sin(angle)
    radius = (q * u.square() + v.square() / q + 1.5**2).sqrt() / 12
    b = 2 * n - 1 / 3
    return (10 * ((1.5 / 12) ** (1 / n) * b - b * radius ** (1 / n)).exp())[None]


def arc(radius: float = 20.0, span: float = 0.6) -> Tensor:
    """Return an arc with peak 1 at a radius, `span` radians to either side of +x."""
    x, y = axes()
    along = torch.atan2(y, x) / span
    return (-((torch.hypot(x, y) - radius).square() / (2 * 2.0**2) + along**4)).exp()[None]


def noise(sigma: float, n: int = 1, seed: int = 0) -> Tensor:
    return sigma * torch.randn(n, SIZE, SIZE, generator=torch.Generator().manual_seed(seed))


def axis_ratio(light: SmoothLight) -> Tensor:
    norm = torch.hypot(*light.ellipticity.unbind(1))
    return (1 - norm) / (1 + norm)


@pytest.mark.parametrize("sigma", [0.7, 2.0, 5.0])
def test_the_blur_is_scipys(sigma: float) -> None:
    images = noise(1.0, 2)
    reach = math.ceil(3 * sigma)
    wanted = gaussian_filter(images.double().numpy(), (0, sigma, sigma), mode="nearest", radius=(0, reach, reach))
    np.testing.assert_allclose(blurred(images, sigma).numpy(), wanted, atol=1e-5)


@pytest.mark.parametrize("q", [0.5, 0.75, 1.0])
@pytest.mark.parametrize("angle", [0.0, 0.5, 2.0])
def test_the_models_shape_and_centre_are_the_galaxys(q: float, angle: float) -> None:
    light = smooth_light(galaxy(q, angle, (1.3, -0.8)) + noise(0.02))
    assert axis_ratio(light).item() == pytest.approx(q, abs=0.03)
    np.testing.assert_allclose(light.center[0].numpy(), (1.3, -0.8), atol=0.2)
    if q < 1:
        found = math.atan2(light.ellipticity[0, 1], light.ellipticity[0, 0]) / 2
        assert math.sin(found - angle) == pytest.approx(0, abs=0.05)


@pytest.mark.parametrize("q", [0.5, 0.75, 1.0])
def test_of_a_galaxy_without_arcs_noise_is_left(q: float) -> None:
    """Outside the inner pixels, which do not resolve the profile."""
    sigma = 0.02
    left = WithoutLensLight((galaxy(q, n=4.0) + noise(sigma, 8))[:, None]).multipole()[:, 0]
    x, y = axes()
    radius = torch.hypot(x, y)
    rings = [(radius >= low) & (radius < low + 8) for low in (4, 12, 20, 28)]
    for ring in rings:
        assert left[:, ring].std().item() == pytest.approx(1, abs=0.15)
        assert left[:, ring].mean().item() == pytest.approx(0, abs=0.2)


@pytest.mark.parametrize("radius", [12.0, 20.0, 30.0])
def test_an_arc_stays_whole(radius: float) -> None:
    wanted = 0.5 * arc(radius)
    image = galaxy() + wanted + noise(0.02)
    left = image - smooth_light(image).image
    bright = wanted > 0.1
    assert left[bright].sum().item() == pytest.approx(wanted[bright].sum().item(), rel=0.15)


def test_the_noise_is_that_of_the_sky_and_of_photons() -> None:
    """The variance is 0.02^2 + light / 2000, in 8 images."""
    light = galaxy(n=4.0).expand(8, -1, -1)
    sigma = (0.02**2 + light / 2000).sqrt()
    images = light + sigma * noise(1.0, 8)
    found = noise_map(images, smooth_light(images).image) / sigma
    x, y = axes()
    radius = torch.hypot(x, y)
    for low in (5, 15, 30):
        assert found[:, (radius >= low) & (radius < low + 10)].mean().item() == pytest.approx(1, abs=0.12)


@pytest.mark.slow
@given(st.floats(1e-15, 1e15), st.floats(-10, 10))
@settings(deadline=None, max_examples=20)
def test_unit_and_background_drop_out(unit: float, background: float) -> None:
    images = (galaxy() + arc() + noise(0.02) + 1e-3)[:, None]
    plain, other = WithoutLensLight(images), WithoutLensLight(images.double().add(background).mul(unit).float())
    # The limit is the single precision of an image on a background.
    for one, two in ((plain.multipole(), other.multipole()), (plain.unsharp(5), other.unsharp(5))):
        assert (one - two).abs().mean() < 0.02


def test_turned_images_give_turned_ones() -> None:
    images = (galaxy() + arc() + noise(0.02))[:, None]
    plain, turned = WithoutLensLight(images), WithoutLensLight(images.rot90(1, (2, 3)))
    torch.testing.assert_close(turned.multipole(), plain.multipole().rot90(1, (2, 3)), atol=0.02, rtol=0.02)
    torch.testing.assert_close(turned.unsharp(3), plain.unsharp(3).rot90(1, (2, 3)), atol=0.02, rtol=0.02)


def test_images_do_not_depend_on_each_other() -> None:
    images = torch.stack([galaxy(0.6) + arc(), galaxy(0.9), galaxy(1.0, n=4.0)]) + noise(0.02, 3)[:, None]
    together = WithoutLensLight(images).multipole()
    for i in range(3):
        # Rounding may decide whether a point near the threshold is clipped.
        assert (WithoutLensLight(images[i : i + 1]).multipole()[0] - together[i]).abs().mean() < 0.05


def test_pixels_without_data_do_not_show() -> None:
    image = galaxy() + noise(0.02)
    holes = torch.zeros_like(image, dtype=torch.bool)
    holes[:, 30:33, 20:24] = holes[:, 60:62, 50:53] = True
    found = WithoutLensLight(torch.where(holes, 0, image)[:, None])
    assert found.multipole()[0][holes].abs().max() < 4
    assert found.unsharp(5)[0][holes].abs().max() < 5
    assert torch.equal(filled(image), image)


@pytest.mark.parametrize("image", [torch.zeros(1, 1, 16, 16), torch.ones(1, 1, 20, 33), noise(1.0)[:, None]])
def test_images_without_a_galaxy_are_finite(image: Tensor) -> None:
    found = WithoutLensLight(image)
    assert found.multipole().isfinite().all()
    assert found.unsharp(4).isfinite().all()


def test_stretches_joined_are_channels() -> None:
    images = (galaxy() + arc() + noise(0.02)).expand(2, -1, -1)[None]

    def preprocess(stretch: str) -> Preprocess:
        return Preprocess(stretch, 41, unsharp_scale=(0.15, 0.25), pixel_scale=0.05)

    joined = preprocess("asinh+unsharp+multipole")
    found = joined(images)
    assert found.shape[1:] == joined.shape((2, SIZE, SIZE)) == (8, 41, 41)
    parts = [preprocess(part)(images) for part in ("asinh", "unsharp", "multipole")]
    assert torch.equal(found, torch.cat(parts, 1))


def test_bad_input_is_one_line() -> None:
    with pytest.raises(
        UsageError, match="needs the pixel scale of the images, which is unknown: use, for example, --data"
    ):
        Preprocess("unsharp", unsharp_scale=(0.2,))
    with pytest.raises(UsageError, match="needs images of 16 pixels or more, these have 15 x 40"):
        Preprocess("multipole").shape((1, 15, 40))
