"""Vortices: strings of mass through the lens, as in a superfluid of light axions."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from lenskit.plugin import Distribution, KeyedGenerator, Scene
from lenskit_lensing.mass.points import line_mass, point_masses

HALF_TURN = Distribution.parse(f"uniform(0, {math.pi})")

AXION_HALF_LENGTH = 0.03e-22
"""Half of the length of a string in arcsec, times the axion's mass in eV: .06 / (2 m) 1e-22."""


@dataclass(frozen=True)
class Vortex:
    """Random strings.

    Args:
        priors: Priors of `log_axion_mass` or `string_length`, and of `string_mass` or `string_mass_fraction`. If
            both of a pair are present, the first is used.
        points: Number of equal point masses of the string; 0 for a line.
        to_ends: Whether the outer points lie on the string's ends. If not, the points lie in the middle of equal parts.
    """

    priors: Mapping[str, Distribution]
    points: int
    to_ends: bool = False

    def draw(self, rng: KeyedGenerator, scene: Scene, present: Tensor) -> Scene:
        """Sample the strings of n lenses: (n,) entries.

        Lenses without a string have a string mass of zero; their recorded length and angle are NaN.

        Args:
            rng: Generator of the group.
            scene: Entries of the lenses, with theta_E, halo_mass and the centre of the lens.
            present: (n,) bool, whether a lens has a string.
        """
        drawn = rng.samples(dict(self.priors) | {"string_angle": HALF_TURN})
        if "log_axion_mass" in drawn:
            half = AXION_HALF_LENGTH / 10 ** drawn["log_axion_mass"].double()
        else:
            half = drawn["string_length"].double() / 2
        halo = scene["halo_mass"].double()
        mass = (
            drawn["string_mass"].double() if "string_mass" in drawn else halo * drawn["string_mass_fraction"].double()
        )
        mass = mass * present
        nowhere = torch.where(present, 0.0, math.nan)
        return {
            "string_mass": mass.to(rng.dtype),
            "string_length": (2 * half + nowhere).to(rng.dtype),
            "string_angle": (drawn["string_angle"] + nowhere).to(rng.dtype),
            "string_theta_E": (scene["theta_E"] * (mass / halo).sqrt()).to(rng.dtype),
            "string_half_length": half.to(rng.dtype),
            "string_direction": drawn["string_angle"],
        }

    def deflection(self, x: Tensor, y: Tensor, scene: Scene) -> tuple[Tensor, Tensor]:
        """Return the deflection of the string in arcsec, (n, height, width) each."""
        if self.points:
            return point_masses(x, y, **self.as_points(scene))
        return line_mass(
            x,
            y,
            theta_E=scene["string_theta_E"],
            half_length=scene["string_half_length"],
            angle=scene["string_direction"],
            center_x=scene["center_x"],
            center_y=scene["center_y"],
        )

    def as_points(self, scene: Scene) -> dict[str, Tensor]:
        """Return the string's points under lenstronomy's names, (n, points) each."""
        half, angle = scene["string_half_length"], scene["string_direction"]
        parts = max(self.points - 1, 1) if self.to_ends else self.points
        along = (2 * torch.arange(self.points, device=half.device) + 1 - self.points) / parts * half[:, None]
        return {
            "theta_E": (scene["string_theta_E"] / math.sqrt(self.points))[:, None].expand(-1, self.points),
            "center_x": scene["center_x"][:, None] + along * angle.cos()[:, None],
            "center_y": scene["center_y"][:, None] + along * angle.sin()[:, None],
        }
