"""The size of pixels: from headers, against astropy's own coordinates; changed, against closed forms and torch."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.wcs import WCS
from hypothesis import given, settings
from hypothesis import strategies as st

from lenskit.errors import UsageError
from lenskit_datasets.pixel_scale import common_scale, pixel_scale_of, regrid, resampled_length


def header(scale: float, angle: float = 0, form: str = "cd", projection: str = "TAN") -> fits.Header:
    """Coordinates about a point of the sky, in one of the forms that FITS has for them."""
    cards = {"CTYPE1": f"RA---{projection}", "CTYPE2": f"DEC--{projection}", "CRVAL1": 150.0, "CRVAL2": 2.2}
    cards |= {"CRPIX1": 10.5, "CRPIX2": 10.5}
    step, c, s = scale / 3600, np.cos(np.radians(angle)), np.sin(np.radians(angle))
    if form == "cd":
        cards |= {"CD1_1": -step * c, "CD1_2": step * s, "CD2_1": step * s, "CD2_2": step * c}
    elif form == "pc":
        cards |= {"CDELT1": -step, "CDELT2": step, "PC1_1": c, "PC1_2": -s, "PC2_1": s, "PC2_2": c}
    elif form == "arcsec":
        cards |= {"CDELT1": -scale, "CDELT2": scale, "CUNIT1": "arcsec", "CUNIT2": "arcsec"}
    else:
        cards |= {"CDELT1": -step, "CDELT2": step, "CROTA2": angle}
    return fits.Header(cards)


@pytest.mark.parametrize("form", ["cd", "pc", "crota", "arcsec"])
@given(scale=st.floats(0.001, 60), angle=st.floats(0, 360))
@settings(deadline=None, max_examples=15)
def test_is_the_distance_of_neighbouring_pixels_on_the_sky(form: str, scale: float, angle: float) -> None:
    coordinates = header(scale, angle, form)
    found = pixel_scale_of(coordinates)
    assert found == pytest.approx(scale, rel=1e-6)
    x, y = WCS(coordinates).pixel_to_world_values([9, 10, 9], [9, 9, 10])
    sky = SkyCoord(x, y, unit="deg")
    assert sky[0].separation(sky[1:]).arcsec == pytest.approx([found] * 2, rel=1e-5)


@pytest.mark.filterwarnings("error")
def test_distorted_coordinates_and_cubes() -> None:
    assert pixel_scale_of(header(0.05, 30, projection="TAN-SIP")) == pytest.approx(0.05)
    cube = fits.Header({"NAXIS": 3, **header(0.2), "CTYPE3": "WAVE", "CDELT3": 1e-9, "CUNIT3": "m"})
    assert pixel_scale_of(cube) == pytest.approx(0.2)


@pytest.mark.parametrize(
    "cards",
    [
        {},
        {"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN"},
        {"CDELT1": 0.05, "CDELT2": 0.05},
        {"CTYPE1": "WAVE", "CTYPE2": "OFFSET", "CDELT1": 1e-9, "CDELT2": 1.0},
        {"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CD1_1": 0.0, "CD2_2": 0.0},
        {"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CDELT1": -1e-5, "CDELT2": 2e-5},
        {"CTYPE1": "RA---NONSENSE", "CTYPE2": 3, "CDELT1": "x", "CDELT2": 1},
    ],
    ids=["none", "no steps", "no sky", "a spectrum", "singular", "not square", "nonsense"],
)
def test_is_not_known_where_a_header_does_not_say(cards: dict) -> None:
    assert pixel_scale_of(cards) is None


def test_a_common_scale() -> None:
    assert common_scale([0.05, 0.0505, 0.05], "abc") == 0.05
    assert common_scale([0.05, None], "ab") is None
    assert common_scale([None, None], "ab") is None
    with pytest.raises(UsageError, match=r'b has pixels of 0\.06", a of 0\.05": say resample=0\.06 .* or pixel_scale'):
        common_scale([0.05, 0.06, None], "abc")


# --- Resampling ---


def gaussian(length: int, scale: float, sigma: float, x: float = 0, y: float = 0) -> np.ndarray:
    """A Gaussian's surface brightness at the centres of pixels; all lengths in arcsec, about the image's centre."""
    axis = (np.arange(length) - (length - 1) / 2) * scale
    return np.exp(-((axis - x) ** 2 + (axis[:, None] - y) ** 2) / (2 * sigma**2)).astype(np.float32)


@given(
    old=st.floats(0.03, 0.3), new=st.floats(0.03, 0.3), length=st.integers(60, 90),
    x=st.floats(-0.5, 0.5), y=st.floats(-0.5, 0.5),
)  # fmt: skip
@settings(deadline=None, max_examples=40)
def test_what_is_smooth_stays_where_it_is_with_its_brightness(
    old: float, new: float, length: int, x: float, y: float
) -> None:
    sigma = 8 * max(old, new)
    image = gaussian(length, old, sigma, x, y)
    size = resampled_length(length, old / new)
    assert size * new <= length * old * (1 + 1e-6) < (size + 1) * new * (1 + 1e-6)
    found = regrid(image, old / new, size)
    inside = slice(2, -2) if size > 6 else slice(None)
    np.testing.assert_allclose(found[inside, inside], gaussian(size, new, sigma, x, y)[inside, inside], atol=0.01)


@pytest.mark.parametrize(("length", "step"), [(60, 2), (60, 3), (63, 3)])
def test_is_what_torch_makes_of_whole_numbers_of_pixels(length: int, step: int) -> None:
    image = np.random.default_rng(0).normal(size=(2, length, length)).astype(np.float32)
    for ratio, size in ((1 / step, length // step), (step, length * step)):
        expected = torch.nn.functional.interpolate(
            torch.from_numpy(image)[None], (size, size), mode="bilinear", antialias=True
        )[0].numpy()
        np.testing.assert_allclose(regrid(image, ratio, size), expected, atol=1e-4)


@given(ratio=st.floats(0.2, 4), size=st.integers(1, 30))
@settings(deadline=None, max_examples=30)
def test_the_middle_of_what_comes_out_is_what_comes_out_as_the_middle(ratio: float, size: int) -> None:
    image = np.random.default_rng(1).normal(size=(40, 40)).astype(np.float32)
    whole = resampled_length(40, ratio)
    edge = max(whole - size, 0) // 2
    size = whole - 2 * edge
    expected = regrid(image, ratio, whole)[edge : edge + size, edge : edge + size]
    np.testing.assert_allclose(regrid(image, ratio, size), expected, atol=1e-4)


def test_the_same_scale_changes_nothing() -> None:
    image = np.random.default_rng(1).normal(size=(41, 41)).astype(np.float32)
    assert np.array_equal(regrid(image, 1.0, 41), image)
    assert np.array_equal(regrid(image, 1.0, 21), image[10:31, 10:31])
