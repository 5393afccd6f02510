"""Lenses with substructure whose noise is given by a signal-to-noise ratio."""

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
    """Galaxy-scale lenses whose dark matter may have substructure: subhalos, or a vortex.

    An isothermal lens with external shear, and its substructure, lenses a Sersic galaxy; the lens's own light is a
    Sersic profile. Both are blurred, and seen by counting photons: such that the brightest pixel has the
    signal-to-noise ratio `snr`, noise of the background included. Each image is then scaled from its faintest pixel to
    its brightest, so that it lies between 0 and 1.

    The label `substructure` names the class of a lens. A lens is the same in all classes but for its substructure:
    lens 7 of `classes=none` is lens 7 of `classes=vortex` without the string.
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
        snr: Signal-to-noise ratio of the brightest pixel, noise of its photons and of the background together.
        background_rms: Noise of the background over the brightest pixel; below 1 / snr.
        clip: Set counts below the sky's mean level to zero, which halves the sky's noise and biases its mean.
        """
        super().__init__({"snr": snr, "background_rms": background_rms}, **options)
        self.clip = clip
        best, sky = self.priors["snr"].bounds[1], self.priors["background_rms"].bounds[1]
        if best * sky >= 1:
            raise UsageError(
                f"options snr and background_rms: with a background noise of {sky:g} no signal-to-noise ratio "
                f"reaches {best:g}; below {1 / best:g} is right"
            )

    def macro_noise(self) -> MacroNoise:
        """See `SubstructureScenes.macro_noise`, and `counts`."""
        bounds = [self.priors[name].bounds for name in ("snr", "background_rms")]
        snr, background = ((low + high) / 2 for low, high in bounds)
        return MacroNoise(snr**-2 - background**2, background, is_known=all(low == high for low, high in bounds))

    def draw_instrument(self, rng: KeyedGenerator) -> Scene:
        """Draw the noise: its level, and normal numbers (n, pixels, pixels) of photons and background."""
        pixels = self.image_shape[1]
        drawn = rng.samples({name: self.priors[name] for name in ("snr", "background_rms")})
        drawn["photon_noise"] = rng.noise("photons", pixels, pixels)
        if self.priors["background_rms"].bounds != (0, 0):
            drawn["background_noise"] = rng.noise("background", pixels, pixels)
        return drawn

    def counts(self, images: Tensor, scene: Scene) -> Tensor:
        """Photons counted (n, pixels, pixels) of blurred images, and the background's noise.

        With a ratio s of signal to noise in the brightest pixel, of which the background makes b, that has
        1 / (1 / s^2 - b^2) photons on average.
        """
        images = images.clamp(min=0)  # rounding errors of the convolution
        snr, background = columns(scene["snr"], scene["background_rms"])
        brightest = 1 / (snr**-2 - background**2)
        seen = photons(_over_maximum(images) * brightest, scene["photon_noise"])
        if "background_noise" in scene:
            seen = seen + brightest * background * scene["background_noise"]
        return seen

    def observe(self, images: Tensor, scene: Scene) -> Tensor:
        """Blurred images (n, pixels, pixels) as observed, from 0 to 1; zeros where nothing is seen at all."""
        counts = self.counts(images, scene)
        if self.clip:
            return _over_maximum(counts.clamp(min=0))
        return _over_maximum(counts - counts.amin((1, 2), keepdim=True))


def _over_maximum(images: Tensor) -> Tensor:
    """Images divided by their maxima, where these are above zero."""
    peak = images.amax((1, 2), keepdim=True)
    return images / peak.where(peak > 0, 1)
