"""Source galaxies: what they look like and where they lie behind their lens."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from lenskit.plugin import Distribution, KeyedGenerator, Scene
from lenskit_lensing.light import core_sersic_light
from lenskit_lensing.mass import epl_terms, shear
from lenskit_lensing.mass.coordinates import columns
from lenskit_lensing.render_torch import axis, source_plane

CANDIDATES = 16
"""Positions that are tried for a source."""

GRID_SCALE = 0.125
"""Spacing in arcsec of the rays that magnifications are estimated with, at most."""

UNIT = Distribution.parse("uniform(0, 1)")

APPEARANCE = ("half_light_radius", "n", "e1", "e2", "core_radius", "core_slope")
"""What is drawn for a galaxy from priors called `source_...`."""


@dataclass
class SourcePopulation:
    """Draws the group `source`.

    A scene's source is one galaxy, or two put together. Each is a core-Sersic profile or a stamp (an image of a real
    galaxy), and has entries that begin with `source_` or `companion_`: `flux` (0 where there is no companion), the
    centre `x`, `y` in arcsec, `amplitude` (of the surface brightness, such that the flux is right), `stamp` (-1 for a
    profile), `half_light_radius`; of profiles `n`, `e1`, `e2`, `R_sersic`, `Rb`, `core_slope`; of stamps `stamp_scale`
    (arcsec), `angle` and `mirror`.

    Args:
        priors: Of `source_dx`, `source_dy`, `merger_distance`, `merger_flux_ratio` and each of `APPEARANCE`.
        merger_fraction: Fraction of sources that are two.
        stamp_fraction: Fraction of galaxies that are stamps.
        stamp_radii: (k,) half-light radii of the stamps in their pixels; None if there are none.
        min_magnification: Below which a position is drawn again.
        frame: Height and width of the image in arcsec.
        ellipticity: Bound of the mass's |e| over the whole prior.
    """

    priors: Mapping[str, Distribution]
    merger_fraction: float
    stamp_fraction: float
    stamp_radii: Tensor | None
    min_magnification: float
    frame: float
    ellipticity: float

    def draw(self, rng: KeyedGenerator, lens: Scene) -> Scene:
        """Draws sources behind these lenses."""
        wanted = {"merger": UNIT, "merger_direction": UNIT}
        wanted |= {name: self.priors[name] for name in ("merger_distance", "merger_flux_ratio")}
        for galaxy in ("source", "companion"):
            wanted |= {f"{galaxy}_{name}": self.priors[f"source_{name}"] for name in APPEARANCE}
            wanted |= {f"{galaxy}_{name}": UNIT for name in ("is_stamp", "angle", "mirror")}
        drawn = rng.samples(wanted)

        is_merger = drawn["merger"] < self.merger_fraction
        flux = {"source": torch.ones_like(drawn["merger"]), "companion": drawn["merger_flux_ratio"] * is_merger}
        stamps = rng.integers("stamp", len(self.stamp_radii), 2) if self.stamp_radii is not None else None
        scene: Scene = {}
        for number, galaxy in enumerate(flux):
            look = {name: drawn[f"{galaxy}_{name}"] for name in (*APPEARANCE, "is_stamp", "angle", "mirror")}
            entries = self._galaxy(look, flux[galaxy], None if stamps is None else stamps[:, number])
            scene |= {f"{galaxy}_{name}": values for name, values in entries.items()}

        scene |= self._place(rng, lens, scene["source_half_light_radius"])
        distance = drawn["merger_distance"] * scene["source_half_light_radius"]
        direction = 2 * math.pi * drawn["merger_direction"]
        scene["companion_x"] = scene["source_x"] + distance * direction.cos()
        scene["companion_y"] = scene["source_y"] + distance * direction.sin()
        return scene

    def _galaxy(self, look: dict[str, Tensor], flux: Tensor, stamp: Tensor | None) -> Scene:
        """What renders one galaxy of each scene, but for its place."""
        radius, slope = look["half_light_radius"], look["core_slope"]
        # In float64, so that draws do not depend on how a batch is summed up.
        light = core_sersic_light(look["core_radius"].double(), look["n"].double(), slope.double())
        unit_flux, unit_radius = (values.to(radius.dtype) for values in light)
        R_sersic = radius / unit_radius
        entries = {
            "flux": flux,
            "half_light_radius": radius,
            "n": look["n"],
            "e1": look["e1"],
            "e2": look["e2"],
            "core_slope": slope,
            "R_sersic": R_sersic,
            "Rb": look["core_radius"] * R_sersic,
            "amplitude": flux / (unit_flux * R_sersic**2),
            "stamp": torch.full_like(radius, -1, dtype=torch.int64),
        }
        if stamp is None or self.stamp_radii is None:
            return entries
        is_stamp = look["is_stamp"] < self.stamp_fraction
        scale = radius / self.stamp_radii.to(radius)[stamp]
        return entries | {
            "stamp": torch.where(is_stamp, stamp, -1),
            "stamp_scale": scale,
            "angle": 2 * math.pi * look["angle"],
            "mirror": torch.where(look["mirror"] < 0.5, -1.0, 1.0).to(radius),
            "amplitude": torch.where(is_stamp, flux / scale**2, entries["amplitude"]),
        }

    def _place(self, rng: KeyedGenerator, lens: Scene, half_light_radius: Tensor) -> Scene:
        """Positions, relative to the point behind the lens's centre and absolute, and their magnification.

        Of each scene's candidates the first that is magnified enough is taken; if none is, the most magnified one.
        """
        dx = rng.sample("source_dx", self.priors["source_dx"], CANDIDATES)
        dy = rng.sample("source_dy", self.priors["source_dy"], CANDIDATES)
        center_x, center_y = columns(lens["center_x"], lens["center_y"])
        shear_x, shear_y = shear(center_x, center_y, gamma1=lens["gamma1"], gamma2=lens["gamma2"])
        x, y = (center_x - shear_x)[..., 0] + dx, (center_y - shear_y)[..., 0] + dy
        rays = Rays(lens, self.frame, self.ellipticity)
        best = torch.zeros_like(rng.index)
        magnification = rays.magnification(x[:, 0], y[:, 0], half_light_radius, slice(None))
        for candidate in range(1, CANDIDATES):
            open_rows = (magnification < self.min_magnification).nonzero().squeeze(1)
            if len(open_rows) == 0:
                break
            other = rays.magnification(
                x[open_rows, candidate], y[open_rows, candidate], half_light_radius[open_rows], open_rows
            )
            better = other > magnification[open_rows]
            magnification[open_rows[better]] = other[better]
            best[open_rows[better]] = candidate
        taken = {"source_dx": dx, "source_dy": dy, "source_x": x, "source_y": y}
        scene = {name: values.gather(1, best[:, None]).squeeze(1) for name, values in taken.items()}
        return scene | {"source_magnification": magnification.to(dx.dtype)}


class Rays:
    """A coarse grid of rays through each lens, for estimates of magnifications.

    Computed in float64, so that which position is taken does not depend on how a batch is summed up.
    """

    def __init__(self, lens: Scene, frame: float, ellipticity: float) -> None:
        count = math.ceil(frame / GRID_SCALE)
        self.area = (frame / count) ** 2
        lens64 = {name: values.double() for name, values in lens.items()}
        grid = axis(count, frame / count, lens64["theta_E"])
        terms = epl_terms(ellipticity, tolerance=3e-3)
        x, y = source_plane(grid[None, :], grid[:, None], lens64, terms)
        self.x, self.y = x.flatten(1), y.flatten(1)

    def magnification(self, x: Tensor, y: Tensor, half_light_radius: Tensor, rows: Tensor | slice) -> Tensor:
        """Flux within the frame over the flux without a lens, of round Gaussian sources.

        Core-Sersic galaxies of the same half-light radius are magnified 8 % less in the mean, for their wings.

        Args:
            x: (n,) positions in the source plane in arcsec.
            y: (n,) positions.
            half_light_radius: (n,) in arcsec.
            rows: The lenses that they lie behind.

        Returns:
            (n,) float64, rounded to three decimals.
        """
        variance = half_light_radius.double() ** 2 / (2 * math.log(2))
        r2 = (self.x[rows] - x[:, None]) ** 2 + (self.y[rows] - y[:, None]) ** 2
        light = (-r2 / (2 * variance[:, None])).exp().sum(1)
        return (light * self.area / (2 * math.pi * variance)).round(decimals=3)
