"""Noise of images: correlated from pixel to pixel, and as large as sky, reading out and photons make it."""

from __future__ import annotations

import math
from functools import cache

import numpy as np
from torch import Tensor

from lenskit.plugin import KeyedGenerator
from lenskit_lensing.instruments.instrument import Band

SMALLEST_TAP = 1e-4
"""Where the weights of correlated noise end, relative to the largest."""


def noise_sigma(image: Tensor, band: Band, exposure: Tensor | None = None) -> Tensor:
    """Standard deviation of an image's noise, in electrons per second and of the image's shape.

    sigma^2 = background^2 + image / t, with the total exposure t: photons counted in a Gaussian approximation, as
    lenstronomy has it. Where the image is negative it has no photons.

    Args:
        image: Electrons per second in each pixel, without noise.
        band: With all that noise needs.
        exposure: Total exposure times in seconds that broadcast with the image, instead of the band's.
    """
    if exposure is not None:
        return (image.clamp(min=0) / exposure + band.background_sigma_after(exposure) ** 2).sqrt()
    return (image.clamp(min=0) / band.total_exposure + band.background_sigma**2).sqrt()


def correlated_noise(rng: KeyedGenerator, name: str, pixels: int, sigma: float) -> Tensor:
    """Normal noise with a variance of one that looks like white noise blurred by a Gaussian, as drizzling leaves it.

    Its correlation between pixels at a distance d is exp(-d^2 / (4 sigma^2)). Nothing is different at the borders: the
    white noise reaches beyond them.

    Args:
        rng: The group's generator.
        name: By which the white noise is drawn.
        pixels: Height and width.
        sigma: Standard deviation of the Gaussian in pixels; 0 leaves the noise white.

    Returns:
        (n, pixels, pixels).
    """
    taps = correlation_taps(sigma)
    size = pixels + len(taps) - 1
    return blurred(rng.noise(name, size, size), taps)


def blurred(images: Tensor, taps: tuple[float, ...]) -> Tensor:
    """Images (n, height, width) weighted with the taps along both axes, without the borders that have no neighbours.

    A sum of a few shifted images: each pixel is summed up in the same order, whatever the batch and device.
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
    """Weights, odd in number and symmetric, that give white noise the correlation exp(-d^2 / (4 sigma^2)).

    Their squares sum to one. They are the Fourier transform of the root of the correlation's: taps that are themselves
    a Gaussian, sampled or integrated over pixels, would correlate neighbours too little or too much where sigma is
    below a pixel.
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
