"""Simulator of lenses with substructure at a chosen signal-to-noise ratio."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from lenskit.plugin import KeyedGenerator, Scene, UsageError
from lenskit_deeplense.simulators.macro import MacroNoise
from lenskit_deeplense.simulators.scenes import SubstructureScenes
from lenskit_lensing.instruments.photons import photons
from lenskit_lensing.mass.coordinates import columns
from lenskit_lensing.priors import Prior


class Substructure(SubstructureScenes):
    """Galaxy-scale lenses with or without dark-matter substructure.

    An isothermal lens with external shear and substructure (subhalos or a vortex) lenses a Sersic galaxy. The lens
    light is a Sersic profile. Both are blurred and observed with photon noise. The exposure is such that the brightest
    pixel has the signal-to-noise ratio `snr`, including the noise of the background. Each image is then scaled so that
    its faintest pixel is 0 and its brightest is 1.

    The label `substructure` is the class of a lens. Lenses of different classes differ in their substructure only: lens
    7 of `classes=none` is lens 7 of `classes=vortex` without the string.
    """

    def __init__(
        self,
        *,
        snr: Prior = "uniform(10, 30)",
        background_rms: Prior = "0",
        clip: bool = False,
        **options: Any,
    ) -> None:
        """Args:
        snr: Signal-to-noise ratio of the brightest pixel, with the noise of its photons and of the background.
        background_rms: Noise of the background, divided by the brightest pixel; below 1 / snr.
        clip: Set counts below the sky's mean level to zero, which halves the sky's noise and biases its mean.
        """
        super().__init__({"snr": snr, "background_rms": background_rms}, **options)
        self.clip = clip
        best, sky = self.priors["snr"].bounds[1], self.priors["background_rms"].bounds[1]
        if best * sky >= 1:
            raise UsageError(
                f"options snr and background_rms: with a background noise of {sky:g} no signal-to-noise ratio "
                f"reaches {best:g}; use a background_rms below {1 / best:g}"
            )

    def macro_noise(self) -> MacroNoise:
        """Return the noise of lenses without substructure, at the middle of both priors."""
        bounds = [self.priors[name].bounds for name in ("snr", "background_rms")]
        snr, background = ((low + high) / 2 for low, high in bounds)
        return MacroNoise(snr**-2 - background**2, background, is_known=all(low == high for low, high in bounds))

    def draw_instrument(self, rng: KeyedGenerator) -> Scene:
        """Sample the noise: its level, and normal numbers (n, pixels, pixels).

        There are normal numbers for the photons and for the background.
        """
        pixels = self.image_shape[1]
        drawn = rng.samples({name: self.priors[name] for name in ("snr", "background_rms")})
        drawn["photon_noise"] = rng.noise("photons", pixels, pixels)
        if self.priors["background_rms"].bounds != (0, 0):
            drawn["background_noise"] = rng.noise("background", pixels, pixels)
        return drawn

    def counts(self, images: Tensor, scene: Scene) -> Tensor:
        """Return photon counts (n, pixels, pixels) of blurred images.

        The counts include the noise of the background. With a signal-to-noise ratio s in the brightest pixel, and a
        background noise b relative to this pixel, the pixel has 1 / (1 / s^2 - b^2) photons on average.
        """
        images = images.clamp(min=0)  # the convolution's rounding errors can be negative
        snr, background = columns(scene["snr"], scene["background_rms"])
        brightest = 1 / (snr**-2 - background**2)
        seen = photons(_over_maximum(images) * brightest, scene["photon_noise"])
        if "background_noise" in scene:
            seen = seen + brightest * background * scene["background_noise"]
        return seen

    def observe(self, images: Tensor, scene: Scene) -> Tensor:
        """Return observed images (n, pixels, pixels) from 0 to 1, for blurred images.

        Images without any light are zero.
        """
        counts = self.counts(images, scene)
        if self.clip:
            return _over_maximum(counts.clamp(min=0))
        return _over_maximum(counts - counts.amin((1, 2), keepdim=True))


def _over_maximum(images: Tensor) -> Tensor:
    """Return images divided by their maxima, if these are above zero."""
    peak = images.amax((1, 2), keepdim=True)
    return images / peak.where(peak > 0, 1)
