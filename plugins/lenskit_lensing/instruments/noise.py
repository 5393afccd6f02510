"""Noise of images: sky, read and photon noise, correlated between pixels."""

from __future__ import annotations

import math
from functools import cache

import numpy as np
from torch import Tensor

from lenskit.plugin import KeyedGenerator
from lenskit_lensing.instruments.instrument import Band

SMALLEST_TAP = 1e-4
"""Smallest weight of correlated noise, relative to the largest."""


def noise_sigma(image: Tensor, band: Band, exposure: Tensor | None = None) -> Tensor:
    """Return the standard deviation of the noise of each pixel in electrons per s.

    sigma^2 = background^2 + image / t, with the total exposure time t: photon noise in the Gaussian approximation, as
    in lenstronomy. Negative pixels have no photon noise.

    Args:
        image: Electrons per second in each pixel, without noise.
        band: A band with all keys of the noise.
        exposure: Total exposure times in seconds that broadcast with the image. The default is that of the band.
    """
    if exposure is not None:
        return (image.clamp(min=0) / exposure + band.background_sigma_after(exposure) ** 2).sqrt()
    return (image.clamp(min=0) / band.total_exposure + band.background_sigma**2).sqrt()


def correlated_noise(rng: KeyedGenerator, name: str, pixels: int, sigma: float) -> Tensor:
    """Sample normal noise of unit variance, correlated as in drizzled images.

    It looks like white noise blurred by a Gaussian: the correlation of pixels at a distance d is exp(-d^2 / (4
    sigma^2)). The borders are not special, because the white noise extends beyond them.

    Args:
        rng: The generator of the group.
        name: Name of the white noise in the generator.
        pixels: Height and width.
        sigma: Standard deviation of the Gaussian in pixels; 0 gives white noise.

    Returns:
        (n, pixels, pixels).
    """
    taps = correlation_taps(sigma)
    size = pixels + len(taps) - 1
    return blurred(rng.noise(name, size, size), taps)


def blurred(images: Tensor, taps: tuple[float, ...]) -> Tensor:
    """Convolve images (n, height, width) with taps along both axes, without padding.

    The sum runs over shifted images, so each pixel is summed in the same order for every batch and device.
    """
    for axis in (1, 2):
        length = images.shape[axis] - len(taps) + 1
        images = sum(
            (tap * images.narrow(axis, shift, length) for shift, tap in enumerate(taps) if tap),
            start=images.new_zeros(()),
        )
    return images


@cache
def correlation_taps(sigma: float) -> tuple[float, ...]:
    """Return filter weights for the correlation exp(-d^2 / (4 sigma^2)).

    The weights are symmetric and odd in number, and their squares sum to one. They are the Fourier
    transform of the root of the correlation's Fourier transform. Gaussian taps, sampled or integrated over pixels,
    would give neighbours a wrong correlation for sigma below a pixel.
    """
    if sigma == 0:
        return (1.0,)
    length = 256
    d = np.fft.fftfreq(length, 1 / length)
    power = np.fft.fft(np.exp(-(d**2) / (4 * sigma**2))).real
    taps = np.fft.ifft(np.sqrt(np.maximum(power, 0))).real
    reach = int(np.abs(d[np.abs(taps) > SMALLEST_TAP * taps[0]]).max())
    kept = np.concatenate([taps[-reach:], taps[: reach + 1]]) if reach else taps[:1]
    return tuple((kept / math.sqrt((kept**2).sum())).tolist())
