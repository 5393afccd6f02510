"""Undefined pixels are filled, reported for some images, and counted on request."""

from __future__ import annotations

import logging

import numpy as np
import pytest

from lenskit.errors import LenskitError
from lenskit.fill import fill_masked
from lenskit.undefined import MOST_REPORTS, Undefined


def pixels(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_filled_plane_by_plane(value: float) -> None:
    image = pixels(2, 3, 20, 20)
    image[1, 2, 4:6, 7] = value
    given = image.copy()
    filled = Undefined().fill(image, "a.fits", "a")
    np.testing.assert_array_equal(image, given)
    expected = fill_masked(image[1, 2], ~np.isfinite(image[1, 2]))
    np.testing.assert_array_equal(filled[1, 2], expected)
    np.testing.assert_array_equal(filled[np.isfinite(image)], image[np.isfinite(image)])


def test_a_constant_image_stays_constant() -> None:
    image = np.full((1, 1, 16, 16), 7, np.float32)
    image[..., 5:8, 5:8] = np.nan
    np.testing.assert_allclose(Undefined().fill(image, "a", "a"), 7, rtol=1e-5)


def test_an_image_without_undefined_pixels_is_returned_as_it_is() -> None:
    image = pixels(8, 8)
    assert Undefined().fill(image, "a", "a") is image


def test_pixels_are_counted_where_they_are_used() -> None:
    undefined, image = Undefined(), pixels(1, 20, 20)
    image[0, :2], image[0, 9, 9:12] = np.nan, np.nan
    undefined.fill(image, "a.fits", "a")
    assert undefined.counts is None
    undefined.counts = {}
    middle = (slice(5, 15), slice(5, 15))
    for name, lens in (("R.fits", "a"), ("I.fits", "a"), ("R.fits", "b")):
        assert np.isfinite(undefined.fill(image, name, lens, middle)).all()
    image[0, 9] = 0
    undefined.fill(image, "c", "c", middle)
    assert undefined.counts == {"a": 6, "b": 3}


@pytest.mark.parametrize(
    ("shape", "where"), [((2, 3, 8, 8), " in view 1, channel 2"), ((1, 3, 8, 8), " in channel 2"), ((1, 1, 8, 8), "")]
)
def test_an_image_that_is_undefined_is_an_error(shape: tuple[int, ...], where: str) -> None:
    image = pixels(*shape)
    image[-1, -1] = np.nan
    with pytest.raises(LenskitError, match=f"^a.fits holds no image: all pixels are undefined{where}$"):
        Undefined().fill(image, "a.fits", "a")
    image[-1, -1, 0, 0] = 1
    with pytest.raises(LenskitError, match="all pixels are undefined"):
        Undefined().fill(image, "a.fits", "a", (slice(2, 6), slice(2, 6)))


def test_the_first_images_are_reported_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    undefined, image = Undefined(), pixels(20, 20)
    image[3, 4:6] = np.nan
    for _ in range(2):
        for number in range(MOST_REPORTS + 2):
            undefined.fill(image, f"{number}.fits", str(number))
    assert [record.getMessage() for record in caplog.records] == [
        f"{number}.fits: 2 of 400 pixels are undefined and are filled" for number in range(MOST_REPORTS)
    ]
    assert caplog.records[0].name == "lenskit"  # the command line shows this logger
