"""Vortices: a string of mass through the lens's centre, as a superfluid of light axions may have them."""

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
"""Half the length of a string in arcsec, times the axion's mass in eV: .06 / (2 m) 1e-22."""


@dataclass(frozen=True)
class Vortex:
    """Draws strings.

    Args:
        priors: Of `log_axion_mass` or else `string_length`, and of `string_mass` or else `string_mass_fraction`.
        points: Number of equal point masses that the string is made of; 0 for a line.
        to_ends: Whether points stand on the string's ends, or in the middles of equal parts of it.
    """

    priors: Mapping[str, Distribution]
    points: int
    to_ends: bool = False

    def draw(self, rng: KeyedGenerator, scene: Scene, present: Tensor) -> Scene:
        """Strings of a batch of lenses, (n,) entries. What is recorded is NaN, or a mass of zero, where there is none.

        Args:
            rng: The group's generator.
            scene: With theta_E, halo_mass and the center of the lens.
            present: (n,) bool, lenses that have a string.
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
        """Deflection of the string in arcsec, (n, height, width) each."""
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
        """The string's points by lenstronomy's names, (n, points) each."""
        half, angle = scene["string_half_length"], scene["string_direction"]
        parts = max(self.points - 1, 1) if self.to_ends else self.points
        along = (2 * torch.arange(self.points, device=half.device) + 1 - self.points) / parts * half[:, None]
        return {
            "theta_E": (scene["string_theta_E"] / math.sqrt(self.points))[:, None].expand(-1, self.points),
            "center_x": scene["center_x"][:, None] + along * angle.cos()[:, None],
            "center_y": scene["center_y"][:, None] + along * angle.sin()[:, None],
        }
