"""Pixel size: from headers, compared with astropy's coordinates, and resampled.

Resampled images are compared with closed forms and torch.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.wcs import WCS
from astropy.wcs.utils import proj_plane_pixel_scales
from hypothesis import given, settings
from hypothesis import strategies as st

from lenskit.errors import UsageError
from lenskit_datasets.pixel_scale import (
    Unclear,
    check_resampled,
    common_scale,
    pixel_scale_of,
    regrid,
    resampled_length,
    scale_in,
    stated_scale,
)


@pytest.mark.parametrize(
    ("comment", "found"),
    [
        ("[mas] pixel scale", 0.05), ("[deg]", 180_000), ("[ArcMin/pixel]", 3000), ("[arcsec / pix] size", 50),
        ('["/pix]', 50), ("size of a pixel [mas]", 50), ("", 50), ("arcsec per pixel", 50),
    ],
)  # fmt: skip
def test_the_comment_of_a_key_may_begin_with_its_unit(comment: str, found: float) -> None:
    if found > 600:
        with pytest.raises(Unclear, match="which no camera has"):
            stated_scale(fits.Header([("PIXSCALE", 50, comment)]))
        found, value = found / 1e6, 50e-6
    else:
        value = 50
    assert stated_scale(fits.Header([("PIXSCALE", value, comment)])) == pytest.approx(found)


@pytest.mark.parametrize(
    ("comment", "complaint"),
    [
        ("pixels per arcsec", "gives PIXSCALE in pixels per arcsec; it must be in arcsec per pixel"),
        ("[pix/arcsec]", "gives PIXSCALE in pixels per arcsec"),
        ("[kpc] at z", "PIXSCALE in kpc, which is not an angle"),
        ("[nonsense]", "PIXSCALE in nonsense, which is not an angle"),
    ],
)  # fmt: skip
def test_a_unit_that_is_no_angle_is_unclear(comment: str, complaint: str) -> None:
    with pytest.raises(Unclear, match=complaint):
        stated_scale(fits.Header([("PIXSCALE", 20, comment)]))


@pytest.mark.parametrize("skewed", [(1, 1), (1, 0.5)], ids=["parallel", "skewed"])
def test_pixels_without_right_angles_are_unclear(skewed: tuple[float, float]) -> None:
    a, b = skewed
    cards = {f"CD{i}_{j}": 1e-5 * value for i, j, value in ((1, 1, a), (1, 2, b), (2, 1, b), (2, 2, a))}
    with pytest.raises(Unclear, match="their sides are not at right angles"):
        stated_scale(fits.Header({"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", **cards}))


def header(scale: float, angle: float = 0, form: str = "cd", projection: str = "TAN") -> fits.Header:
    """Return coordinates about a point of the sky, in one of the forms of FITS."""
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


SKY = {"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN"}
STEPS = {"CDELT1": -0.05 / 3600, "CDELT2": 0.05 / 3600}
MATRIX = {"1_1": -8e-6, "1_2": 6e-6, "2_1": 6e-6, "2_2": 8e-6}


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    "cards",
    [
        SKY | {f"PC{place}": step for place, step in MATRIX.items()},
        SKY | STEPS | {f"CD{place}": step for place, step in MATRIX.items()},
        SKY | STEPS | {"PC1_1": 0.6, "PC1_2": -0.8, "PC2_1": 0.8, "PC2_2": 0.6},
        SKY | {"CDELT1": 50.0, "CDELT2": 50.0, "CUNIT1": "mas", "CUNIT2": "mas"},
        {"CTYPE1": "GLON-CAR", "CTYPE2": "GLAT-CAR"} | STEPS,
        {"CTYPE1": "RA---ZPN", "CTYPE2": "DEC--ZPN", "PV2_1": 1.0, "PV2_3": -50.0} | STEPS,
        {"CTYPE1": "RA---TPV", "CTYPE2": "DEC--TPV", "PV1_1": 1.0, "PV2_1": 1.0} | STEPS,
        {"CTYPE1": "DEC--TAN", "CTYPE2": "RA---TAN"} | STEPS,
        {"CTYPE1": "RA", "CTYPE2": "DEC"} | STEPS,
    ],
    ids=["PC alone", "CD and CDELT", "PC and CDELT", "mas", "galactic", "ZPN", "TPV", "turned", "no projection"],
)
def test_is_what_astropy_says(cards: dict) -> None:
    expected = 3600 * proj_plane_pixel_scales(WCS(fits.Header(cards)).celestial)
    assert pixel_scale_of(cards) == pytest.approx(np.sqrt(expected.prod()))


@pytest.mark.parametrize(
    ("cards", "scale"),
    [
        (
            {
                "CTYPE1": "LINEAR",
                "CTYPE2": "LINEAR",
                "CUNIT1": "arcsec",
                "CUNIT2": "arcsec",
                "CDELT1": 0.1,
                "CDELT2": 0.1,
            },
            0.1,
        ),
        (SKY | {"CDELT1": "-1.5D-5", "CDELT2": " 1.5e-5 "}, 0.054),
        ({"CTYPE1": "RA---ZPN", "CTYPE2": "DEC--ZPN"} | STEPS, 0.05),
        ({"PIXSCALE": 0.2}, 0.2),
        ({"PIXELSCL": "0.2"}, 0.2),
        (SKY | STEPS | {"PIXSCALE": 0.2}, 0.05),
    ],
    ids=["angles without a sky", "text", "ZPN without its polynomial", "a key", "a key of text", "sky before a key"],
)
def test_further_forms(cards: dict, scale: float) -> None:
    assert pixel_scale_of(cards) == pytest.approx(scale)


@pytest.mark.parametrize(
    ("cards", "why"),
    [
        (SKY | {"CDELT1": 1.0, "CDELT2": 1.0}, 'its header gives pixels of 3600", which no camera has'),
        (SKY | {"CDELT1": 1e-30, "CDELT2": 1e-30}, 'its header gives pixels of 3.6e-27", which no camera has'),
        (SKY | {"CDELT1": -1e-5, "CDELT2": 2e-5}, 'its pixels are not square: 0.036" x 0.072"'),
        (SKY | STEPS | {"CROTA2": "north"}, "its card CROTA2 = 'north' is not a number"),
        (SKY | {"CD1_1": 1e-5, "CD2_2": 0.0}, "astropy.wcs cannot read its coordinates"),
        (SKY | STEPS | {"CUNIT1": "furlong"}, "astropy.wcs cannot read its coordinates"),
        ({"PIXSCALE": -1}, "its header gives PIXSCALE = -1 as pixel scale; it must be a positive number of arcsec"),
    ],
)  # fmt: skip
def test_what_is_unclear_is_said(cards: dict, why: str) -> None:
    assert pixel_scale_of(cards) is None
    with pytest.raises(Unclear) as error:
        stated_scale(cards)
    assert str(error.value) == why


def broken(key: str, value: str) -> fits.Header:
    """Return a header with a card that astropy cannot parse."""
    header = fits.Header(SKY | STEPS | {"CROTA2": 0.0, "CRVAL1": 0.0, "OBJECT": "x"})
    text = header.tostring(sep="\n", endcard=False).splitlines()
    return fits.Header.fromstring("\n".join(f"{key:8}= {value}" if c.startswith(key) else c for c in text), sep="\n")


def test_cards_that_cannot_be_parsed_matter_only_where_they_say_the_scale() -> None:
    with pytest.raises(Unclear, match="its card CROTA2 cannot be read"):
        stated_scale(broken("CROTA2", "                 NaN"))
    for key in ("CRVAL1", "OBJECT"):
        assert pixel_scale_of(broken(key, "                 NaN")) == pytest.approx(0.05)
    assert pixel_scale_of(broken("CROTA2", "")) == pytest.approx(0.05)  # undefined, like a missing card


def test_coordinates_may_stand_in_another_hdu_about_the_same_pixels() -> None:
    sky, other = fits.Header(SKY | STEPS), fits.Header(SKY | {"CDELT1": 1e-4, "CDELT2": 1e-4})
    image = fits.ImageHDU(np.zeros((6, 6)))
    assert scale_in([fits.PrimaryHDU(header=sky), image], image) == pytest.approx(0.05)
    weights = fits.ImageHDU(np.zeros((6, 6)), sky)
    psf = fits.ImageHDU(np.zeros((3, 3)), other)
    assert scale_in([image, psf, weights], image) == pytest.approx(0.05)
    assert scale_in([image, psf], image) is None
    own = fits.ImageHDU(np.zeros((6, 6)), other)
    assert scale_in([fits.PrimaryHDU(header=sky), own], own) == pytest.approx(0.36)


def test_nobody_makes_images_that_no_memory_holds() -> None:
    check_resampled("a", (100, 100), 0.2, 0.05)
    for new in (1e-9, 100.0):
        with pytest.raises(UsageError, match=r'a has 100 x 100 pixels of 0\.2", which are .*: correct resample'):
            check_resampled("a", (100, 100), 0.2, new)


def test_a_common_scale() -> None:
    assert common_scale([0.05, 0.0505, 0.05], "abc") == 0.05
    assert common_scale([0.05, None], "ab") is None
    assert common_scale([None, None], "ab") is None
    with pytest.raises(UsageError, match=r'b has pixels of 0\.06", a of 0\.05": use resample=0\.06 .* or pixel_scale'):
        common_scale([0.05, 0.06, None], "abc")


# --- Resampling ---


def gaussian(length: int, scale: float, sigma: float, x: float = 0, y: float = 0) -> np.ndarray:
    """Return the surface brightness of a Gaussian at the centres of pixels.

    All lengths are in arcsec, about the image's centre.
    """
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
