from __future__ import annotations

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import given, settings
from hypothesis import strategies as st

from lenskit.fill import fill_masked

GAPPY, WITH_NEIGHBOURS = "J0405-0455", "J0216-0813"
CLEAN = ["J0912+0029", "J0959+0410", "J1142+1001", "J1218+0830", "J1402+6321"]


def scene(length: int = 81) -> np.ndarray:
    """A point-symmetric galaxy: a flattened, tilted exponential."""
    y, x = np.mgrid[:length, :length] - (length - 1) / 2
    return np.exp(-np.sqrt(x**2 + 1.5 * y**2 + 0.5 * x * y + 4) / 20).astype(np.float32)


def square(length: int, top: int, left: int, side: int) -> np.ndarray:
    mask = np.zeros((length, length), bool)
    mask[top : top + side, left : left + side] = True
    return mask


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), fraction=st.floats(0.001, 0.995), sides=st.tuples(*[st.integers(5, 40)] * 2))
def test_good_pixels_are_kept_and_all_become_finite(seed, fraction, sides):
    rng = np.random.default_rng(seed)
    image = rng.normal(size=sides).astype(np.float32)
    masked = rng.random(sides) < fraction
    masked.flat[rng.integers(masked.size)] = False
    image[masked] = rng.choice([np.nan, np.inf, 0, 1e30], masked.sum())
    filled = fill_masked(image, masked)
    assert filled.dtype == np.float32
    assert np.isfinite(filled).all()
    np.testing.assert_array_equal(filled[~masked], image[~masked])
    assert np.abs(filled).max() < 15  # no trace of the masked pixels


def test_patch_is_the_opposite_side():
    image, patch = scene(), square(81, 10, 12, 15)
    # Without noise, and with a centre between four pixels' centres too, the reflection is exact.
    np.testing.assert_allclose(fill_masked(image, patch), image, atol=1e-6)
    even, patch = scene(80), square(80, 50, 55, 12)
    np.testing.assert_allclose(fill_masked(even, patch), even, atol=1e-6)


def test_arc_opposite_a_patch_is_not_copied():
    image, patch = scene(), square(81, 5, 5, 20)
    image[-20:-14, -20:-14] += 1
    filled = fill_masked(image, patch)
    assert np.abs(filled - scene())[patch].max() < 0.1  # of the arc's 1


def test_patches_opposite_each_other_are_interpolated():
    image, patches = scene(), square(81, 5, 30, 12) | square(81, 64, 39, 12)
    np.testing.assert_array_equal(patches, patches[::-1, ::-1])
    filled = fill_masked(image, patches)
    around = image[2:20, 27:45]
    assert (filled[patches] > around.min() / 2).all()
    assert (filled[patches] < around.max() * 1.5).all()


def test_filled_pixels_have_the_noise_of_the_others():
    rng = np.random.default_rng(0)
    image = rng.normal(3, 0.2, (200, 200)).astype(np.float32)
    masked = np.zeros(image.shape, bool)
    masked[::4, ::4] = True
    filled = fill_masked(image, masked)[masked]
    # 2500 pixels; interpolating adds .2^2 / 30 to the variance
    assert filled.std() == pytest.approx(0.2, rel=0.06)
    assert filled.mean() == pytest.approx(3, abs=0.02)


def test_nothing_masked_changes_nothing():
    assert fill_masked(scene(), np.zeros((81, 81), bool)) == pytest.approx(scene())


@pytest.mark.parametrize(("masks_of", "sigmas"), [(GAPPY, 1.6), (WITH_NEIGHBOURS, 2.2)])
def test_real_pixels_are_restored_to_within_their_noise(real_data, masks_of, sigmas):
    # Masks of one frame on others whose true pixels are known; the noise added to interpolation counts as an error.
    def read(name: str, part: str) -> np.ndarray:
        return np.array(fits.getdata(real_data / "slacs" / name / f"{part}.fits"), np.float32)

    other = read(masks_of, "noise") >= 1e5
    errors, worst = [], []
    for name in CLEAN:
        image, noise = read(name, "image"), read(name, "noise")
        masked = other | (noise >= 1e5)
        judged = other & (noise < 1e5)
        filled = fill_masked(np.where(masked, 0, image), masked)
        errors.append(((filled - image) / noise)[judged])
        worst.append((np.zeros_like(image) - image)[judged] / noise[judged])
    typical = 1.4826 * np.median(np.abs(np.concatenate(errors)))
    assert typical < sigmas
    assert typical < 0.5 * 1.4826 * np.median(np.abs(np.concatenate(worst)))
