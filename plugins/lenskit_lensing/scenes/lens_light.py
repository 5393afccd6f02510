"""Light of lens galaxies."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lenskit.plugin import Distribution, KeyedGenerator, Scene
from lenskit_lensing.light import sersic_b

MAX_ELLIPTICITY = 0.95
"""Upper limit of |e| of the lens light, for large deviations from the mass."""

STANDARD_NORMAL = Distribution.parse("normal(0, 1)")


FOLLOWS = {"light_e1": "e1", "light_e2": "e2", "light_x": "center_x", "light_y": "center_y"}
"""For each parameter of the light, the parameter of the mass that it follows."""


@dataclass
class LensLight:
    """Sampler of the group `lens_light`: a Sersic profile near the mass profile.

    Args:
        priors: Priors of `names`.
        scatter: Standard deviation of the difference between each of `FOLLOWS` and the mass.
        names: Parameters that are sampled from their priors: at least `light_n`, `light_radius`.
        smallest: Minimum half-light radius in arcsec.
        in_arcsec: Whether `light_radius` is in arcsec; otherwise in units of theta_E.
    """

    priors: Mapping[str, Distribution]
    scatter: Mapping[str, float]
    names: Sequence[str]
    smallest: float = 0.0
    in_arcsec: bool = False

    def draw(self, rng: KeyedGenerator, scene: Scene) -> Scene:
        """Sample the light of these lenses, with `light_R_sersic` in arcsec."""
        light = rng.samples({name: self.priors[name] for name in self.names} | dict.fromkeys(FOLLOWS, STANDARD_NORMAL))
        for name, of_mass in FOLLOWS.items():
            light[name] = scene[of_mass] + self.scatter[name] * light[name]
        excess = torch.hypot(light["light_e1"], light["light_e2"]) / MAX_ELLIPTICITY
        for name in ("light_e1", "light_e2"):
            light[name] = light[name] / excess.clamp(min=1)
        radius = light["light_radius"] if self.in_arcsec else light["light_radius"] * scene["theta_E"]
        return light | {"light_R_sersic": radius.clamp(min=self.smallest)}


def lens_flux(scene: Scene) -> Tensor:
    """Return the total flux of the lens light (n,), in the units of `total_light`.

    A disc is included.
    """
    bulge = total_light(scene["light_R_sersic"], scene["light_n"])
    return bulge * (1 + scene["disc_flux_ratio"]) if "disc_flux_ratio" in scene else bulge


def total_light(R_sersic: Tensor, n_sersic: Tensor) -> Tensor:
    """Return the flux of Sersic profiles with a surface brightness of one at R_sersic.

    The flux does not depend on the ellipticity: 2 pi n R^2 e^b b^(-2n) Gamma(2n) (e.g. Graham & Driver 2005,
    https://arxiv.org/abs/astro-ph/0503176, eq. 4).

    Args:
        R_sersic: Half-light radius in arcsec.
        n_sersic: Index.

    Returns:
        Flux in units of that surface brightness times square arcsec.
    """
    # float64, so that scenes do not depend on the order of summation in a batch
    n, b = n_sersic.double(), sersic_b(n_sersic.double())
    total = 2 * math.pi * n * R_sersic.double() ** 2 * (b - 2 * n * b.log() + torch.lgamma(2 * n)).exp()
    return total.to(R_sersic.dtype)
