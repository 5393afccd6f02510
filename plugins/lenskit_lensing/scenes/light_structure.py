"""Structure of lens galaxies beyond a Sersic profile that follows the mass."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from lenskit.plugin import Distribution, KeyedGenerator, Scene
from lenskit_lensing.scenes.lens_light import total_light

UNIT = Distribution.parse("uniform(0, 1)")

ISOPHOTES = ("light_twist", "light_m3", "light_m4")
"""Deviations from ellipses. None is sampled if all priors are zero."""

DISC = ("disc_flux_ratio", "disc_radius", "disc_thickness")


@dataclass
class LightStructure:
    """Sampler of an independent shape, a disc, and non-elliptical isophotes.

    These are further entries of the group `lens_light`. Options that are off add no entries. Entries:

    - with a prior of `light_q`: `light_q`, `light_angle`, and new values of `light_e1`, `light_e2`;
    - for isophotes, as arguments of `isophotal_sersic`: those of `ISOPHOTES` and `light_m3_angle`;
    - with discs: `disc_flux_ratio` (flux of the disc relative to the bulge, 0 without a disc), `disc_q`,
      `disc_R_sersic` in arcsec, `disc_e1`, `disc_e2`, and `disc_amplitude`, the surface brightness at that radius
      relative to the surface brightness of the bulge at the bulge's radius.

    Args:
        priors: Priors of `ISOPHOTES` and `DISC`, and of `light_q` and `light_angle` for an independent shape.
        disc_fraction: Fraction of lens galaxies with a disc.
    """

    priors: Mapping[str, Distribution]
    disc_fraction: float

    @property
    def own_shape(self) -> bool:
        """Whether the ellipticity of the light is independent of the mass."""
        return "light_q" in self.priors

    @property
    def isophotes(self) -> bool:
        """Whether isophotes may differ from ellipses."""
        return any(map(self.has, ISOPHOTES))

    def has(self, name: str) -> bool:
        """Whether a prior gives values other than zero."""
        return self.priors[name].bounds != (0, 0)

    def draw(self, rng: KeyedGenerator, scene: Scene, light: Scene) -> Scene:
        """Sample the structure of the light of these lenses.

        Args:
            rng: The generator of the group.
            scene: Scene with `e1`, `e2` of the mass.
            light: Entries `light_R_sersic`, `light_n`, `light_e1`, `light_e2`.
        """
        structure: Scene = {}
        e1, e2 = light["light_e1"], light["light_e2"]
        if self.own_shape:
            structure |= rng.samples({name: self.priors[name] for name in ("light_q", "light_angle")})
            angle = torch.atan2(scene["e2"], scene["e1"]) + structure["light_angle"] * (math.pi / 90)
            e1, e2 = ellipticity(structure["light_q"], angle.cos(), angle.sin())
            structure |= {"light_e1": e1, "light_e2": e2}
        if self.isophotes:
            structure |= rng.samples({name: self.priors[name] for name in ISOPHOTES} | {"light_m3_angle": UNIT})
            structure["light_m3_angle"] = 120 * structure["light_m3_angle"]
        if self.disc_fraction:
            structure |= self._disc(rng, light, e1, e2)
        return structure

    def _disc(self, rng: KeyedGenerator, light: Scene, e1: Tensor, e2: Tensor) -> Scene:
        """Sample an exponential disc of random inclination, aligned with the bulge.

        An oblate spheroid of axis ratio t (its thickness) at an inclination i has the projected axis ratio
        sqrt(cos^2 i + t^2 sin^2 i). For random directions cos i is uniform.
        """
        drawn = rng.samples(
            {name: self.priors[name] for name in DISC} | dict.fromkeys(("disc", "disc_cos_inclination"), UNIT)
        )
        ratio = torch.where(drawn["disc"] < self.disc_fraction, drawn["disc_flux_ratio"], 0)
        cos2 = drawn["disc_cos_inclination"] ** 2
        q = (cos2 + drawn["disc_thickness"] ** 2 * (1 - cos2)).sqrt()
        R_sersic = drawn["disc_radius"] * light["light_R_sersic"]
        length = torch.hypot(e1, e2)
        is_round = length == 0
        along = torch.where(is_round, 1, e1 / torch.where(is_round, 1, length))
        across = e2 / torch.where(is_round, 1, length)
        disc_e1, disc_e2 = ellipticity(q, along, across)
        bulge = total_light(light["light_R_sersic"], light["light_n"])
        return {
            "disc_flux_ratio": ratio,
            "disc_q": q,
            "disc_R_sersic": R_sersic,
            "disc_e1": disc_e1,
            "disc_e2": disc_e2,
            "disc_amplitude": ratio * bulge / total_light(R_sersic, torch.ones_like(R_sersic)),
        }


def ellipticity(q: Tensor, cos: Tensor, sin: Tensor) -> tuple[Tensor, Tensor]:
    """Return e1, e2 from an axis ratio, cos and sin of twice the position angle."""
    e = (1 - q) / (1 + q)
    return e * cos, e * sin
