"""Macro model of lenses with substructure: lens, shear, source and lens light."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lenskit.plugin import Distribution
from lenskit.toolbox import MacroModel
from lenskit_deeplense.simulators.rendering import Blur, Lenses
from lenskit_lensing.macro import Range, check_free, fitted_ranges

EinsteinRadius = Callable[[Tensor, Tensor, Tensor], Tensor]

MASS = ("theta_E", "center_x", "center_y", "e1", "e2", "gamma1", "gamma2")
SOURCE = ("source_x", "source_y", "source_radius", "source_n", "source_e1", "source_e2")
LENS_LIGHT = ("light_radius", "light_n", "light_e1", "light_e2", "center_x", "center_y")
FITTED = tuple(dict.fromkeys((*MASS, *SOURCE, *LENS_LIGHT)))
"""All parameters that can be fitted, except the amplitudes of source and lens light."""

UNKNOWN = ("theta_E",)
"""Parameters that are fitted by default although the simulator fixes them. Substructure adds to the mass of a lens: if
the Einstein radius were known, the size of the ring alone would reveal it."""


@dataclass(frozen=True)
class MacroNoise:
    """Noise of an image, relative to its brightest pixel.

    Attributes:
        photon: Variance of the brightest pixel's photon noise, divided by its squared brightness.
        background: Standard deviation of the background noise, divided by the brightest pixel's brightness.
        is_known: Whether all images have this noise. If not, it is the noise of a typical image.
    """

    photon: float
    background: float
    is_known: bool


AMPLITUDES = {"source": "source_amplitude", "lens_light": "light_amplitude"}


class SubstructureMacroModel(MacroModel):
    """Macro model of `SubstructureScenes`.

    Args:
        priors: Priors of the simulator.
        free: Parameters to fit although the simulator fixes them; by default `UNKNOWN`.
        einstein_radius: Function that returns Einstein radii in arcsec for masses in solar masses, redshifts of lenses
            and redshifts of sources.
        lenses: Renderer without substructure.
        blur: PSF of the simulator.
        noise: Noise of the simulator.
        deflection_scale: Factor by which all deflections are multiplied.

    Raises:
        UsageError: A name in `free` is not the name of a parameter.
    """

    def __init__(
        self,
        priors: Mapping[str, Distribution],
        free: Sequence[str] | None,
        *,
        einstein_radius: EinsteinRadius,
        lenses: Lenses,
        blur: Blur,
        noise: MacroNoise,
        deflection_scale: float = 1.0,
    ) -> None:
        self._lenses, self._blur, self.pixels = lenses, blur, lenses.pixels
        self.pixel_scale = lenses.pixel_scale
        self.parts = {"source": frozenset((*MASS, *SOURCE))}
        if priors["light_amplitude"].bounds != (0, 0):
            self.parts["lens_light"] = frozenset(LENS_LIGHT)
        there = [name for name in FITTED if any(name in names for names in self.parts.values())]
        if free is None:
            free = [name for name in UNKNOWN if name in there]
        check_free(free, there)
        ranges = _ranges(priors, einstein_radius)
        self.bounds = fitted_ranges({name: ranges[name] for name in there}, free)
        self._fixed = {name: ranges[name][0] for name in FITTED if name not in self.bounds}
        if deflection_scale != 1:
            self._fixed["deflection_scale"] = deflection_scale
        self.traced_by = frozenset((*MASS, "source_x", "source_y"))
        self.source_radii = ranges["source_radius"]
        self._noise, self.noise_is_known = noise, noise.is_known

    def surface(self, part: str, values: Mapping[str, Tensor]) -> Tensor:
        scene = self._scene(values)
        return self._lenses.part(part, scene | {AMPLITUDES[part]: torch.ones_like(next(iter(scene.values())))})

    def traced(self, values: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        return self._lenses.traced(self._scene(values))

    def _scene(self, values: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return fitted parameters together with fixed parameters."""
        like = next(iter(values.values()))
        return {name: torch.full_like(like, value) for name, value in self._fixed.items()} | dict(values)

    def blur(self, light: Tensor) -> Tensor:
        return self._blur(light.flatten(0, 1)).view_as(light)

    def variance(self, light: Tensor) -> Tensor:
        """Return the variance of photon and background noise.

        Each pixel has at least the photon noise of one photon.
        """
        peak = light.amax((1, 2), keepdim=True)
        peak = torch.where(peak > 0, peak, 1)
        photon = self._noise.photon
        return peak**2 * ((light / peak).clamp(min=photon) * photon + self._noise.background**2)


def _ranges(priors: Mapping[str, Distribution], einstein_radius: EinsteinRadius) -> dict[str, Range]:
    """Return the smallest and the largest value of each parameter in `FITTED`."""
    ranges = {name: priors[name].bounds for name in FITTED if name in priors}
    if "halo_mass" in priors:
        corners = [torch.tensor(priors[name].bounds) for name in ("halo_mass", "z_lens", "z_source")]
        radii = einstein_radius(*(each.flatten() for each in torch.meshgrid(*corners, indexing="ij")))
        ranges["theta_E"] = float(radii.min()), float(radii.max())
    for ellipticity, of in {"e": "lens", "light_e": "light", "source_e": "source"}.items():
        if f"{of}_q" in priors:
            flattest, roundest = ((1 - q) / (1 + q) for q in priors[f"{of}_q"].bounds)
            ranges |= _components(ellipticity, (roundest, flattest), priors[f"{of}_angle"].bounds)
    ranges |= _components("gamma", priors["shear"].bounds, priors["shear_angle"].bounds)
    if "source_r" in priors:
        farthest = priors["source_r"].bounds[1]
        ranges |= dict.fromkeys(("source_x", "source_y"), (-farthest, farthest))
    return ranges


def _components(name: str, norm: Range, angle: Range) -> dict[str, Range]:
    """Return the ranges of the two components of an ellipticity or a shear."""
    low, high = norm
    if low == high and (high == 0 or angle[0] == angle[1]):
        values = high * math.cos(2 * angle[0]), high * math.sin(2 * angle[0])
        return {f"{name}{i + 1}": (value, value) for i, value in enumerate(values)}
    return {f"{name}{i}": (-high, high) for i in (1, 2)}
