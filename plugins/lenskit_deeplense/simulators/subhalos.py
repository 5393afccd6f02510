"""Spherical subhalos: their number, masses, positions and deflection.

Masses are total masses. Far from a subhalo of mass m, light is deflected as by a point mass, by theta^2 / r with

    theta^2 = theta_E^2 m / M.

M is the mass within the lens's Einstein radius theta_E, for the distances from which theta_E follows. The profiles are
therefore interchangeable: they differ only in the extent of m.

- A point mass has no extent.
- A truncated NFW profile has the scale radius of a field halo of mass M_200 = m, with the concentrations of Dutton &
  Maccio (2014, https://arxiv.org/abs/1402.7073). By default it is truncated at 5 scale radii, about as in Gilman et al.
  (2020, https://arxiv.org/abs/1908.06983) for 1e8 solar masses at 50 kpc. (A real subhalo of that mass is the remnant
  of a heavier halo. This history is not simulated.)
- A pseudo-Jaffe profile is a nearly singular isothermal sphere, truncated at the tidal radius of Vegetti & Koopmans
  (2009, https://arxiv.org/abs/0805.0201): r_t = sqrt(b theta_E). The subhalo's own Einstein radius is
  b = theta^2 / r_t. This gives r_t = (theta^2 theta_E)^(1/3).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import torch
from torch import Tensor

from lenskit.plugin import Distribution, KeyedGenerator, Scene
from lenskit_lensing.cosmology import ARCSEC, G_OVER_C2, SPEED_OF_LIGHT, Cosmology
from lenskit_lensing.mass import pjaffe, tnfw
from lenskit_lensing.mass.points import point_masses

CORE = 0.02
"""Core radius of a pseudo-Jaffe profile, divided by its truncation radius: small, but without a singular cusp."""

NO_MASS = 1e-100
"""Replacement of a total mass of zero in a division, in solar masses; smaller than any real mass."""

OVERDENSITY = 200
"""Mean density of a halo divided by the critical density; it defines the halo's radius and concentration."""


@dataclass(frozen=True)
class Subhalos:
    """Random subhalos, padded with zero masses to the largest number of the prior.

    Args:
        priors: Priors of `subhalos`, `subhalo_r` and `subhalo_truncation`, and optionally `subhalo_mass_fraction`.
        masses: Smallest and largest mass in solar masses; None for equal masses.
        slope: Slope of the mass function dN/dM ~ M^slope between these masses.
        profile: `point`, `tnfw` or `pjaffe`.
        cosmology: Cosmology for the scale radii of halos.
    """

    priors: Mapping[str, Distribution]
    masses: tuple[float, float] | None
    slope: float
    profile: str
    cosmology: Cosmology

    def __post_init__(self) -> None:
        _ = hubble_now(self.cosmology), self.most  # computed once, so that sampling does not wait for the device

    @cached_property
    def most(self) -> int:
        """Largest number of subhalos."""
        return int(self.priors["subhalos"].bounds[1])

    def draw(self, rng: KeyedGenerator, scene: Scene, present: Tensor) -> Scene:
        """Sample the subhalos of n lenses: (n, most) entries, number and total mass.

        Args:
            rng: Generator of the group.
            scene: Entries of the lenses, with theta_E, halo_mass and the redshifts.
            present: (n,) bool, whether a lens has subhalos.
        """
        most = self.most
        number = rng.sample("subhalos", self.priors["subhalos"]).floor() * present
        there = torch.arange(most, device=rng.device) < number[:, None]
        mass = there.double()
        if self.masses:
            mass *= power_law_quantile(rng.uniform("subhalo_mass", most).double(), *self.masses, self.slope)
        if "subhalo_mass_fraction" in self.priors:
            total = scene["halo_mass"].double() * rng.sample(
                "subhalo_mass_fraction", self.priors["subhalo_mass_fraction"]
            )
            mass = mass * (total / mass.sum(1).clamp(min=NO_MASS))[:, None]
        r = rng.sample("subhalo_r", self.priors["subhalo_r"], most)
        angle = 2 * math.pi * rng.uniform("subhalo_angle", most)
        theta2 = mass * (scene["theta_E"].double() ** 2 / scene["halo_mass"].double())[:, None]
        drawn = {
            "subhalos": number,
            "subhalo_mass": mass.sum(1).to(rng.dtype),
            "subhalo_theta_E": theta2.sqrt().to(rng.dtype),
            "subhalo_x": r * angle.cos(),
            "subhalo_y": r * angle.sin(),
        }
        if self.profile == "tnfw":
            truncation = rng.sample("subhalo_truncation", self.priors["subhalo_truncation"], most)
            drawn["subhalo_Rs"] = self._scale_radius(mass, scene["z_lens"]).to(rng.dtype)
            drawn["subhalo_r_trunc"] = drawn["subhalo_Rs"] * truncation
        elif self.profile == "pjaffe":
            # The clamp sets an arbitrary radius for zero masses.
            size = (theta2 * scene["theta_E"].double()[:, None]).pow(1 / 3).clamp(min=1e-4)
            drawn["subhalo_Rs"] = size.to(rng.dtype)
        return drawn

    def deflection(self, x: Tensor, y: Tensor, scene: Scene) -> tuple[Tensor, Tensor]:
        """Return the deflection of all subhalos in arcsec, (n, height, width) each."""
        k = scene["subhalo_theta_E"].shape[1]
        if x.device.type == "cpu":  # skip entries that have no mass in any lens
            k = int(scene["subhalos"].max())
        names = ("theta_E", "Rs", "r_trunc", "x", "y")
        one = {name: scene[f"subhalo_{name}"][:, :k] for name in names if f"subhalo_{name}" in scene}
        if self.profile == "point":
            return point_masses(x, y, theta_E=one["theta_E"], center_x=one["x"], center_y=one["y"])
        shape = (len(one["x"]), *torch.broadcast_shapes(x.shape, y.shape)[-2:])
        total_x, total_y = x.new_zeros(shape), x.new_zeros(shape)
        function = tnfw if self.profile == "tnfw" else pjaffe
        parameters = self.lenstronomy(one)
        for i in range(k):
            along_x, along_y = function(x, y, **{name: values[:, i] for name, values in parameters.items()})
            total_x, total_y = total_x.add_(along_x), total_y.add_(along_y)
        return total_x, total_y

    def lenstronomy(self, halos: Mapping[str, Tensor]) -> dict[str, Any]:
        """Return the parameters of subhalos under lenstronomy's names, (n, k) each.

        Args:
            halos: Entries of the scene, without the prefix `subhalo_`.
        """
        center = {"center_x": halos["x"], "center_y": halos["y"]}
        theta2 = halos["theta_E"] ** 2
        if self.profile == "point":
            return {"theta_E": halos["theta_E"], **center}
        Rs = halos["Rs"]
        if self.profile == "pjaffe":
            return {"sigma0": theta2 / (2 * CORE * Rs * Rs), "Ra": CORE * Rs, "Rs": Rs, **center}
        tau2 = (halos["r_trunc"] / Rs) ** 2
        whole = tau2 / (tau2 + 1) ** 2 * ((tau2 - 1) * tau2.log() / 2 + math.pi * tau2.sqrt() - (tau2 + 1))
        return {"alpha_Rs": theta2 * (1 - math.log(2)) / (Rs * whole), "Rs": Rs, "r_trunc": halos["r_trunc"], **center}

    def _scale_radius(self, mass: Tensor, z: Tensor) -> Tensor:
        """Return the NFW scale radii in arcsec of halos of some masses (n, k).

        The concentrations are from Dutton & Maccio.
        """
        z = z.double()
        step = 1e-4
        rise = self.cosmology.comoving_distance(z + step) - self.cosmology.comoving_distance(z - step)
        hubble = 2 * step / rise  # divided by the speed of light, in 1 / Mpc
        density = 3 * hubble**2 / (8 * math.pi * G_OVER_C2)  # in solar masses per cubic Mpc
        h = hubble_now(self.cosmology)
        mass = mass.clamp(min=1)
        radius = (mass / (4 / 3 * math.pi * OVERDENSITY * density[:, None])).pow(1 / 3)
        distance = self.cosmology.angular_diameter_distance(z)[:, None]
        return radius / concentration(mass * h, z[:, None]) / distance / ARCSEC


@cache
def hubble_now(cosmology: Cosmology) -> float:
    """Return h, the Hubble constant in units of 100 km/s/Mpc."""
    step = torch.tensor(1e-4, dtype=torch.float64)
    distance = float(cosmology.comoving_distance(step))
    twice = float(cosmology.comoving_distance(2 * step))
    return SPEED_OF_LIGHT * float(step) / (2 * distance - twice / 2) / 100


def concentration(mass_h: Tensor, z: Tensor) -> Tensor:
    """Return the mean concentration r_200 / r_s of halos.

    The formula is equation 8 of Dutton & Maccio 2014 (https://arxiv.org/abs/1402.7073).

    Args:
        mass_h: M_200 in solar masses / h.
        z: Redshift.
    """
    slope = -0.101 + 0.026 * z
    offset = 0.520 + (0.905 - 0.520) * (-0.617 * z**1.21).exp()
    return 10 ** (offset + slope * (mass_h / 1e12).log10())


def power_law_quantile(u: Tensor, low: float, high: float, slope: float) -> Tensor:
    """Return the quantile at the fraction u of a density ~ x^slope between two bounds."""
    power = slope + 1
    if abs(power) < 1e-6:
        return low * (high / low) ** u
    return (low**power + u * (high**power - low**power)) ** (1 / power)
