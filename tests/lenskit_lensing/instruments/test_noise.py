"""Noise: level against lenstronomy, correlation against a formula and SLACS.

The noise of a scene depends on the scene's seed, index and view only.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from lenstronomy.SimulationAPI.observation_api import SingleBand
from scipy.signal import convolve2d

from lenskit.generator import KeyedGenerator
from lenskit_lensing.instruments.instrument import Band, load_instrument
from lenskit_lensing.instruments.noise import blurred, correlated_noise, correlation_taps, noise_sigma

torch.set_num_threads(1)

VIS = load_instrument("euclid-vis").band()
SLACS = 0.44  # pixels; the noise of HST's drizzled frames looks blurred by a Gaussian of this sigma


def generator(n: int, view: int = 0, dtype: torch.dtype = torch.float32) -> KeyedGenerator:
    return KeyedGenerator(1, "train", "instrument", torch.arange(n), torch.full((n,), view), dtype)


def correlation(noise: torch.Tensor, dy: int, dx: int) -> float:
    height, width = noise.shape[1:]
    return float((noise[:, dy:, dx:] * noise[:, : height - dy, : width - dx]).mean())


def test_variance_is_lenstronomys() -> None:
    """Background and flux noise add in quadrature; pixels below zero add no noise."""
    reference = SingleBand(
        pixel_scale=VIS.pixel_scale, exposure_time=VIS.exposure_time, magnitude_zero_point=VIS.zero_point,
        read_noise=VIS.read_noise, sky_brightness=VIS.sky, num_exposures=VIS.exposures, seeing=VIS.fwhm,
    )  # fmt: skip
    image = np.geomspace(1e-3, 1e3, 50)
    expected = np.hypot(reference.background_noise, reference.flux_noise(image.copy()))
    np.testing.assert_allclose(noise_sigma(torch.from_numpy(image), VIS).numpy(), expected, rtol=1e-12)
    negative = noise_sigma(torch.tensor([-5.0], dtype=torch.float64), VIS)
    assert float(negative) == pytest.approx(reference.background_noise, rel=1e-12)


def test_photons_of_a_bright_pixel_are_poissons() -> None:
    """100 electrons/s in 10 exposures of 20 s are 20000 +- sqrt(20000) electrons.

    The sky adds a variance of 200, the read noise of 3 electrons a variance of 90.
    """
    band = Band(
        name="a", pixels=16, pixel_scale=0.1, fwhm=0.2, zero_point=25, sky=20.0, read_noise=3, exposure_time=20,
        exposures=10,
    )  # fmt: skip
    sky = 10 ** (0.4 * (25 - 20)) * 0.1**2 * 200
    electrons = 200 * float(noise_sigma(torch.tensor([100.0], dtype=torch.float64), band))
    assert electrons**2 == pytest.approx(20000 + sky + 10 * 9)


def test_drawn_noise_has_the_expected_variance_pixel_by_pixel() -> None:
    band, n = load_instrument("hst-acs-f814w").band(), 4000
    image = torch.linspace(0, 20, 16 * 16).view(1, 16, 16).expand(n, 16, 16)
    noise = noise_sigma(image, band) * correlated_noise(generator(n), "noise", 16, band.noise_correlation)
    expected = image[0] / 2250 + 0.01**2
    ratio = noise.var(0) / expected
    assert abs(float(ratio.mean()) - 1) < 0.005
    assert (ratio - 1).abs().max() < 5 * (2 / n) ** 0.5
    assert noise.mean(0).abs().max() < 5 * float(expected.max() / n) ** 0.5


@pytest.mark.parametrize("sigma", [0.0, 0.3, SLACS, 1.0, 1.5])
def test_correlation_is_the_closed_form(sigma: float) -> None:
    """White noise blurred by a Gaussian has the correlation exp(-d^2 / (4 sigma^2))."""
    noise = correlated_noise(generator(60, dtype=torch.float64), "noise", 110, sigma)
    assert noise.shape == (60, 110, 110)
    independent = 60 * 110**2 / max(1, 4 * np.pi * sigma**2)
    assert float(noise.var()) == pytest.approx(1, abs=5 * (2 / independent) ** 0.5)
    for dy, dx in ((0, 1), (1, 0), (1, 1), (0, 2), (2, 0), (2, 1), (0, 4)):
        expected = np.exp(-(dx**2 + dy**2) / (4 * sigma**2)) if sigma else 0.0
        assert correlation(noise, dy, dx) == pytest.approx(expected, abs=5 / independent**0.5)


@pytest.mark.parametrize("sigma", [0.05, 0.3, SLACS, 1.0, 1.5, 5.0])
def test_taps_have_the_correlation_and_unit_power(sigma: float) -> None:
    taps = np.array(correlation_taps(sigma))
    assert len(taps) % 2 == 1
    np.testing.assert_allclose(taps, taps[::-1], atol=1e-15)
    found = np.correlate(taps, taps, "full")[len(taps) - 1 :][:5]
    expected = np.exp(-(np.arange(5.0) ** 2) / (4 * sigma**2))[: len(found)]
    np.testing.assert_allclose(found, expected, atol=5e-4)
    assert found[0] == pytest.approx(1, abs=1e-12)


@pytest.mark.slow
def test_hst_noise_is_as_correlated_as_in_real_frames() -> None:
    """Noise of SLACS frames correlates by 0.26 with adjacent pixels, 0.08 diagonally.

    Two pixels away, the model's correlation is lower than that of the frames.
    """
    noise = correlated_noise(generator(400), "noise", 110, load_instrument("hst-acs-f814w").band().noise_correlation)
    assert correlation(noise, 0, 1) == pytest.approx(0.26, abs=0.03)
    assert correlation(noise, 1, 1) == pytest.approx(0.08, abs=0.02)
    assert correlation(noise, 0, 2) == pytest.approx(0.0057, abs=0.0025)


def test_blurring_is_a_convolution_without_borders() -> None:
    taps = correlation_taps(1.0)
    white = generator(2, dtype=torch.float64).noise("noise", 30, 33)
    expected = [convolve2d(image, np.outer(taps, taps), mode="valid") for image in white.numpy()]
    np.testing.assert_allclose(blurred(white, taps).numpy(), expected, atol=1e-13)


def test_uncorrelated_noise_is_the_generators() -> None:
    assert torch.equal(correlated_noise(generator(3), "noise", 20, 0), generator(3).noise("noise", 20, 20))


def test_noise_belongs_to_its_address() -> None:
    together = correlated_noise(generator(9), "noise", 20, SLACS)
    rng = KeyedGenerator(1, "train", "instrument", torch.tensor([7, 2]), torch.zeros(2, dtype=torch.int64))
    assert torch.equal(correlated_noise(rng, "noise", 20, SLACS), together[[7, 2]])
    assert abs(float((together * correlated_noise(generator(9, view=1), "noise", 20, SLACS)).mean())) < 0.1
