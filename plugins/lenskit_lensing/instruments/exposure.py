"""Observation of an image: noise, background gradients, and pixels without data."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from lenskit.plugin import Distribution, KeyedGenerator, Scene
from lenskit_lensing.instruments.instrument import Band
from lenskit_lensing.instruments.noise import blurred, correlated_noise, correlation_taps, noise_sigma
from lenskit_lensing.mass.coordinates import columns

HOLE_SIZE = 1.5
"""Correlation length in pixels of the random field that defines masked pixels.

Patches then have 7 pixels on average, like cosmic rays in the shallower frames of the SLACS survey.
"""

UNIT = Distribution.parse("uniform(0, 1)")


@dataclass
class Exposure:
    """Sampler of the group `instrument`, and observation of convolved images.

    Args:
        priors: Priors of `log_noise`, `background_gradient` and `masked_pixels`, and of `exposure_time` if depths
            differ.
        band: The band of the camera.
        white: Whether noise is white, with a level relative to the maximum of the image. Otherwise the band defines the
            noise.
        psfs: Number of PSFs.
    """

    priors: Mapping[str, Distribution]
    band: Band
    white: bool
    psfs: int

    def draw(self, rng: KeyedGenerator) -> Scene:
        """Sample the PSF's index, noise of unit variance, gradients and masked pixels."""
        pixels = self.band.pixels
        scene = rng.samples({"log_noise": self.priors["log_noise"]}) if self.white else {}
        if "exposure_time" in self.priors:
            scene["exposure_time"] = rng.sample("exposure_time", self.priors["exposure_time"])
        scene["psf"] = rng.integers("psf", self.psfs)
        scene["noise"] = correlated_noise(rng, "noise", pixels, 0 if self.white else self.band.noise_correlation)
        if self.has("background_gradient"):
            scene |= rng.samples({"background_gradient": self.priors["background_gradient"], "background_angle": UNIT})
        if self.has("masked_pixels"):
            scene["masked_pixels"] = rng.sample("masked_pixels", self.priors["masked_pixels"])
            scene["masked"] = holes(rng, scene["masked_pixels"], pixels)
        return scene

    def has(self, name: str) -> bool:
        """Whether a prior gives values other than zero."""
        return self.priors[name].bounds != (0, 0)

    def observe(self, image: Tensor, scene: Scene) -> Tensor:
        """Return observed images (n, pixels, pixels).

        Args:
            image: Images divided by their maximum for white noise, in electrons per second for the noise of the band.
            scene: Scene with the entries of the group.
        """
        background: Tensor | float
        if self.white:
            background = sigma = 10 ** columns(scene["log_noise"])[0]
        elif "exposure_time" in scene:
            (exposure,) = columns(scene["exposure_time"])
            background, sigma = self.band.background_sigma_after(exposure), noise_sigma(image, self.band, exposure)
        else:
            background, sigma = self.band.background_sigma, noise_sigma(image, self.band)
        image = image + sigma * scene["noise"]
        if "background_gradient" in scene:
            rise = background * columns(scene["background_gradient"])[0]
            image = image + rise * slope(image, scene["background_angle"])
        if "masked" in scene:
            image = torch.where(scene["masked"], 0, image)
        return image


def slope(like: Tensor, angle: Tensor) -> Tensor:
    """Return planes that rise by one across the frame and have a mean of zero.

    Args:
        like: Images (n, pixels, pixels).
        angle: Direction of the rise, from +x towards +y, in units of a full turn; (n,).
    """
    pixels = like.shape[-1]
    axis = (torch.arange(pixels, dtype=like.dtype, device=like.device) - (pixels - 1) / 2) / pixels
    cos, sin = columns((2 * math.pi * angle).cos(), (2 * math.pi * angle).sin())
    return cos * axis + sin * axis[:, None]


def holes(rng: KeyedGenerator, fraction: Tensor, pixels: int) -> Tensor:
    """Return masks of small patches of pixels without data, (n, pixels, pixels) bool.

    A patch is where a smooth random field exceeds a threshold. Patches are as irregular as those of cosmic rays.

    Args:
        rng: The generator of the group.
        fraction: Expected fraction of the pixels, (n,).
        pixels: Height and width.
    """
    taps = correlation_taps(HOLE_SIZE)
    size = pixels + len(taps) - 1
    # float64, so that masks do not depend on the dtype of the scene
    field = blurred(rng.noise("holes", size, size).double(), taps)
    return field > columns(torch.special.ndtri(1 - fraction.double()))[0]
