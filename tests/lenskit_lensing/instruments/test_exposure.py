"""Effects of a camera: background gradients and pixels without data."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.ndimage import label

from lenskit.generator import KeyedGenerator
from lenskit_lensing.instruments.exposure import holes, slope

torch.set_num_threads(1)


def generator(n: int, dtype: torch.dtype = torch.float32) -> KeyedGenerator:
    return KeyedGenerator(1, "train", "instrument", torch.arange(n), torch.zeros(n, dtype=torch.int64), dtype)


def test_a_slope_rises_by_one_over_the_frame_where_it_points() -> None:
    like = torch.zeros(3, 40, 40, dtype=torch.float64)
    east, north, northeast = slope(like, torch.tensor([0.0, 0.25, 0.125], dtype=torch.float64)).numpy()
    for image in (east, north, northeast):
        assert image.mean() == pytest.approx(0, abs=1e-15)
    np.testing.assert_allclose(np.diff(east, axis=1), 1 / 40, rtol=1e-12)
    np.testing.assert_allclose(np.diff(north, axis=0), 1 / 40, rtol=1e-12)
    assert np.ptp(east[:, 0]) < 1e-15
    dy, dx = np.gradient(northeast)
    np.testing.assert_allclose(np.hypot(dx, dy), 1 / 40, rtol=1e-12)
    np.testing.assert_allclose(dx, dy, rtol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("fraction", [0.0, 0.02, 0.06, 0.3])
def test_holes_take_the_expected_fraction(fraction: float) -> None:
    masked = holes(generator(200), torch.full((200,), fraction), 100)
    assert masked.dtype == torch.bool
    # Each hole masks 7 pixels; the tolerance is 5 standard deviations of the number of holes.
    assert float(masked.float().mean()) == pytest.approx(fraction, abs=5 * (7 * fraction / (200 * 100**2)) ** 0.5)


@pytest.mark.slow
def test_holes_are_as_large_as_in_shallow_slacs_frames() -> None:
    """4 % of the pixels are in holes of 7 pixels on average.

    The frames are J0044+0113, J0405-0455 and J1621+3931.
    """
    masked = holes(generator(30), torch.full((30,), 0.04), 200).numpy()
    number = sum(label(image)[1] for image in masked)
    assert masked.sum() / number == pytest.approx(7, abs=1.5)


def test_holes_belong_to_their_address_and_not_to_the_type() -> None:
    fraction = torch.linspace(0, 0.2, 8)
    together = holes(generator(8), fraction, 40)
    assert torch.equal(together, holes(generator(8, torch.float64), fraction, 40))
    rng = KeyedGenerator(1, "train", "instrument", torch.tensor([6, 3]), torch.zeros(2, dtype=torch.int64))
    assert torch.equal(holes(rng, fraction[[6, 3]], 40), together[[6, 3]])


def test_real_frames_have_such_holes(real_data) -> None:
    """Measure the mean size of 7 pixels that the test above expects."""
    from astropy.io import fits

    sizes = []
    for name in ("J0044+0113", "J0405-0455", "J1621+3931"):
        masked = fits.getdata(real_data / "slacs" / name / "image.fits") == 0
        sizes.append(masked.sum() / label(masked)[1])
    assert np.mean(sizes) == pytest.approx(7, abs=1)
