"""The limits of zscale, compared with astropy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from astropy.io import fits
from astropy.visualization import ZScaleInterval
from hypothesis import given, settings
from hypothesis import strategies as st

from lenskit.preprocessing.zscale import zscale, zscale_limits


def agree(images: np.ndarray) -> None:
    """Assert that the limits of images (n, H, W) equal astropy's.

    The tolerance is 1e-6 of their distance.
    """
    lower, upper = zscale_limits(torch.from_numpy(images))
    assert lower.shape == upper.shape == (len(images), 1, 1)
    assert lower.dtype == torch.float32
    for image, low, high in zip(images, lower.flatten().tolist(), upper.flatten().tolist(), strict=True):
        expected = ZScaleInterval().get_limits(image.astype(float))
        assert (low, high) == pytest.approx(expected, abs=1e-6 * abs(expected[1] - expected[0]), rel=2e-7)


def test_real_lenses(real_data: Path) -> None:
    files = sorted((real_data / "slacs").glob("*/image.fits"))
    images = np.stack([np.array(fits.getdata(file), np.float32) for file in files])
    assert len(images) == 20
    agree(images)
    found = zscale(torch.from_numpy(images))
    for image, ours in zip(images, found.numpy(), strict=True):
        np.testing.assert_allclose(ours, ZScaleInterval()(image.astype(float)), atol=1e-5)


@pytest.mark.slow
@given(seed=st.integers(0, 2**32 - 1), size=st.integers(2, 70), tail=st.floats(1, 20), unit=st.floats(1e-20, 1e15))
@settings(deadline=None, max_examples=40)
def test_images_of_any_size_and_unit(seed: int, size: int, tail: float, unit: float) -> None:
    """Heavy tails: images differ in the number of rounds that reject samples."""
    values = np.random.default_rng(seed).standard_t(tail, (4, size, size)).clip(-1e4, 1e4)
    values[1] += np.hypot(*np.mgrid[:size, :size]) / size
    values[2] = np.exp(values[2].clip(-3, 9))
    agree((unit * values).astype(np.float32))


def test_few_values() -> None:
    """If most samples are equal the slope is zero; if all are, the limits are equal."""
    rng = np.random.default_rng(0)
    agree(1 + (rng.random((5, 30, 30)) > 0.8).astype(np.float32))
    agree(np.full((2, 9, 9), 3, np.float32))
    assert torch.equal(zscale(torch.full((1, 9, 9), 3.0)), torch.zeros(1, 9, 9))


def test_an_image_without_noise_is_shown_from_its_least_to_its_largest_value() -> None:
    image = torch.full((1, 1, 40, 40), -1.0)
    image[..., 15:20, 15:20] = torch.linspace(0, 3, 25).view(5, 5)
    lower, upper = zscale_limits(image)
    assert lower.item() == upper.item() == -1
    torch.testing.assert_close(zscale(image), (image + 1) / 4)


def test_faint_structure_on_a_pedestal_is_kept() -> None:
    image = np.random.default_rng(3).normal(1e4, 1, (1, 60, 60)).astype(np.float32)
    found = zscale(torch.from_numpy(image)).numpy()[0]
    np.testing.assert_allclose(found, ZScaleInterval()(image[0].astype(float)), atol=1e-3)
    assert 0.1 < found.std() < 0.4
