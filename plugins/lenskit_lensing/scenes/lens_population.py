"""Population of lenses, by theta_E or by velocity dispersion and redshifts."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from lenskit.plugin import Distribution, KeyedGenerator, Scene, UsageError

LENS = ("theta_E", "gamma", "e1", "e2", "center_x", "center_y", "gamma1", "gamma2")

PHYSICAL = ("velocity_dispersion", "z_lens", "z_source")
"""Parameters that determine theta_E, if their priors are given."""


class LensPopulation:
    """Sampler of the group `lens`: parameters of `LENS` and, if given, of `PHYSICAL`.

    Args:
        priors: Priors of `names`, and of all of `PHYSICAL` or none. With `PHYSICAL` the Einstein radius is that of an
            isothermal sphere, 4 pi (sigma / c)^2 D_ls / D_s, and its prior is not used.
        cosmology: Cosmology for this radius, see `cosmology_named`.
        chosen: Whether the user set the prior of the Einstein radius. A default may be ignored.
        names: The sampled parameters of `LENS`, theta_E first.

    Raises:
        UsageError: The user sets both theta_E and `PHYSICAL`, or only a part of `PHYSICAL`, or sources may be in front
            of lenses.
    """

    def __init__(
        self, priors: Mapping[str, Distribution], cosmology: str, chosen: bool, names: tuple[str, ...] = LENS
    ) -> None:
        given = [name for name in PHYSICAL if name in priors]
        self.is_physical = bool(given)
        self._priors = {name: priors[name] for name in (*(names[1:] if given else names), *given)}
        if not given:
            return
        if chosen:
            raise UsageError(f"options theta_E and {given[0]}: set one of them, not both")
        if missing := [name for name in PHYSICAL if name not in given]:
            raise UsageError(f"option {missing[0]} is missing: set all of {', '.join(PHYSICAL)}, or none")
        farthest, nearest = priors["z_lens"].bounds[1], priors["z_source"].bounds[0]
        if farthest >= nearest:
            raise UsageError(
                f"options z_lens and z_source: lenses reach a redshift of {farthest:g} and sources begin at "
                f"{nearest:g}; all sources must be behind all lenses"
            )
        from lenskit_lensing.cosmology import cosmology_named

        self._cosmology = cosmology_named(cosmology)

    @property
    def einstein_radii(self) -> tuple[float, float]:
        """Return the smallest and the largest Einstein radius in arcsec."""
        if not self.is_physical:
            return self._priors["theta_E"].bounds
        corners = torch.meshgrid(*(torch.tensor(self._priors[name].bounds) for name in PHYSICAL), indexing="ij")
        radii = self._cosmology.einstein_radius_sis(*(corner.flatten() for corner in corners))
        return float(radii.min()), float(radii.max())

    def draw(self, rng: KeyedGenerator) -> Scene:
        """Sample lenses."""
        lens = rng.samples(self._priors)
        if self.is_physical:
            lens["theta_E"] = self._cosmology.einstein_radius_sis(*(lens[name] for name in PHYSICAL))
        return lens
