"""Population of source galaxies: their light and their positions behind the lens."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from lenskit.plugin import Distribution, KeyedGenerator, Scene, UsageError
from lenskit_lensing.light import core_sersic_light
from lenskit_lensing.mass import epl, epl_terms, shear
from lenskit_lensing.sources.stamp_sources import StampSources

CANDIDATES = 16
"""Number of candidate positions of a source."""

RADIAL_STEP, ANGULAR_STEP = 0.15, 0.35
"""Largest spacing in arcsec of the rays for magnifications, along the radius and along the circles."""

UNIT = Distribution.parse("uniform(0, 1)")

OFFSET = ("source_dx", "source_dy")

APPEARANCE = ("half_light_radius", "n", "e1", "e2", "core_radius", "core_slope")
"""Entries of a galaxy that are sampled from priors `source_...`."""


@dataclass
class SourcePopulation:
    """Sampler of the group `source`.

    The source of a scene is one galaxy or a merger of two. Each is a core-Sersic profile or a stamp (an image of a real
    galaxy), with entries that begin with `source_` or `companion_`: `flux` (0 without a companion), the centre `x`, `y`
    in arcsec, `amplitude` (of the surface brightness, from the flux), `stamp` (-1 for a profile),
    `half_light_radius`; for profiles `n`, `e1`, `e2`, `R_sersic`, `Rb`, `core_slope`; for stamps `stamp_scale`
    (arcsec), `angle` and `mirror`.

    Args:
        priors: Priors of `source_dx`, `source_dy`, `merger_distance`, `merger_flux_ratio` and each of `APPEARANCE`.
        merger_fraction: Fraction of mergers.
        stamp_fraction: Fraction of galaxies that are stamps.
        stamps: The images of real galaxies; None if there are none.
        min_magnification: Magnification below which a position is sampled again.
        frame: Height and width of the image in arcsec.
        ellipticity: Upper limit of the mass's |e| over the complete prior.
        wide_fraction: Fraction of sources with the priors `wide_dx` and `wide_dy` of positions.
        wide_min_magnification: Magnification below which the position of such a source is sampled again.
    """

    priors: Mapping[str, Distribution]
    merger_fraction: float
    stamp_fraction: float
    stamps: StampSources | None
    min_magnification: float
    frame: float
    ellipticity: float
    wide_fraction: float = 0.0
    wide_min_magnification: float = 0.0
    _columns: dict[torch.device, tuple[Tensor, Tensor]] = field(default_factory=dict, init=False, repr=False)

    def draw(self, rng: KeyedGenerator, lens: Scene) -> Scene:
        """Sample sources behind these lenses."""
        wanted = {"merger": UNIT, "merger_direction": UNIT}
        wanted |= {name: self.priors[name] for name in ("merger_distance", "merger_flux_ratio")}
        for galaxy in ("source", "companion"):
            wanted |= {f"{galaxy}_{name}": self.priors[f"source_{name}"] for name in APPEARANCE}
            wanted |= {f"{galaxy}_{name}": UNIT for name in ("is_stamp", "angle", "mirror")}
        drawn = rng.samples(wanted)

        is_merger = drawn["merger"] < self.merger_fraction
        flux = {"source": torch.ones_like(drawn["merger"]), "companion": drawn["merger_flux_ratio"] * is_merger}
        stamps = rng.integers("stamp", len(self.stamps.images), 2) if self.stamps is not None else None
        light = self._light(drawn, tuple(flux))
        scene: Scene = {}
        for number, galaxy in enumerate(flux):
            look = {name: drawn[f"{galaxy}_{name}"] for name in (*APPEARANCE, "is_stamp", "angle", "mirror")}
            stamp = None if stamps is None else stamps[:, number]
            entries = self._galaxy(look, flux[galaxy], light[galaxy], stamp)
            scene |= {f"{galaxy}_{name}": values for name, values in entries.items()}

        scene |= self._place(rng, lens, scene["source_half_light_radius"])
        distance = drawn["merger_distance"] * scene["source_half_light_radius"]
        direction = 2 * math.pi * drawn["merger_direction"]
        scene["companion_x"] = scene["source_x"] + distance * direction.cos()
        scene["companion_y"] = scene["source_y"] + distance * direction.sin()
        return scene

    def _light(self, drawn: Scene, galaxies: tuple[str, ...]) -> dict[str, tuple[Tensor, Tensor]]:
        """Return flux and half-light radius of each galaxy as a profile with R_sersic = 1."""
        # Together, and in float64, so that scenes do not depend on the order of summation in a batch.
        shape = ("core_radius", "n", "core_slope")
        together = (torch.cat([drawn[f"{galaxy}_{name}"] for galaxy in galaxies]).double() for name in shape)
        flux, radius = (
            values.to(drawn["merger"].dtype).chunk(len(galaxies)) for values in core_sersic_light(*together)
        )
        return {galaxy: (flux[number], radius[number]) for number, galaxy in enumerate(galaxies)}

    def _galaxy(
        self, look: dict[str, Tensor], flux: Tensor, light: tuple[Tensor, Tensor], stamp: Tensor | None
    ) -> Scene:
        """Return the entries of one galaxy of each scene, without its position."""
        radius, slope = look["half_light_radius"], look["core_slope"]
        unit_flux, unit_radius = light
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
        if stamp is None or self.stamps is None:
            return entries
        is_stamp = look["is_stamp"] < self.stamp_fraction
        if radius.device not in self._columns:  # cached, because each copy synchronises
            self._columns[radius.device] = self.stamps.half_light.to(radius.device), self.stamps.flux.to(radius.device)
        stamp_radius, stamp_flux = (column[stamp].to(radius.dtype) for column in self._columns[radius.device])
        scale = radius / stamp_radius
        return entries | {
            "stamp": torch.where(is_stamp & (flux > 0), stamp, -1),
            "stamp_scale": scale,
            "angle": 2 * math.pi * look["angle"],
            "mirror": torch.where(look["mirror"] < 0.5, -1.0, 1.0).to(radius),
            "amplitude": torch.where(is_stamp, flux / (stamp_flux * scale**2), entries["amplitude"]),
        }

    def _place(self, rng: KeyedGenerator, lens: Scene, half_light_radius: Tensor) -> Scene:
        """Sample positions, and compute their magnification.

        Positions are relative to the point behind the centre of the lens, and absolute. The first candidate with
        sufficient magnification is used, or else the candidate of highest magnification.
        """
        rays = Rays.through(lens, self.frame, self.ellipticity)
        wide = rng.sample("wide", UNIT) < self.wide_fraction if self.wide_fraction else None
        dx, dy = self._offsets(rng, wide)  # the first candidates
        magnification = rays.magnification(dx, dy, half_light_radius)
        if rng.device.type == "cpu":
            # Few scenes need a second candidate. On a GPU the selection takes longer than trying all candidates.
            rows = (magnification < self._least(wide)).nonzero().squeeze(1)
            if len(rows):
                some = (dx[rows], dy[rows], magnification[rows], half_light_radius[rows])
                best = self._best(rng.of(rows), rays.of(rows), *some, None if wide is None else wide[rows])
                dx[rows], dy[rows], magnification[rows] = best
        else:
            dx, dy, magnification = self._best(rng, rays, dx, dy, magnification, half_light_radius, wide)
        shear_x, shear_y = shear(
            *(lens[name][:, None, None] for name in ("center_x", "center_y")),
            gamma1=lens["gamma1"],
            gamma2=lens["gamma2"],
        )
        return {
            "source_dx": dx,
            "source_dy": dy,
            "source_x": lens["center_x"] - shear_x.flatten() + dx,
            "source_y": lens["center_y"] - shear_y.flatten() + dy,
            "source_magnification": magnification.to(dx.dtype),
        }

    def _offsets(self, rng: KeyedGenerator, wide: Tensor | None, *shape: int) -> list[Tensor]:
        """Sample positions (n, *shape) from the priors of each scene.

        Both priors use the same random numbers.
        """
        if wide is None and not shape:
            return list(rng.samples({name: self.priors[name] for name in OFFSET}).values())
        usual = [rng.sample(name, self.priors[name], *shape) for name in OFFSET]
        if wide is None:
            return usual
        far = (rng.sample(name, self.priors[name.replace("source", "wide")], *shape) for name in OFFSET)
        rows = wide.view(-1, *(1 for _ in shape))
        return [torch.where(rows, *both) for both in zip(far, usual, strict=True)]

    def _least(self, wide: Tensor | None) -> Tensor | float:
        """Return the minimum magnification of each scene."""
        if wide is None:
            return self.min_magnification
        return torch.where(wide, self.wide_min_magnification, self.min_magnification)

    def _best(
        self,
        rng: KeyedGenerator,
        rays: Rays,
        dx: Tensor,
        dy: Tensor,
        magnification: Tensor,
        half_light_radius: Tensor,
        wide: Tensor | None = None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Select candidates without synchronising with the device."""
        all_dx, all_dy = self._offsets(rng, wide, CANDIDATES)
        least = self._least(wide)
        for candidate in range(1, CANDIDATES):
            other_dx, other_dy = all_dx[:, candidate], all_dy[:, candidate]
            other = rays.magnification(other_dx, other_dy, half_light_radius)
            better = (magnification < least) & (other > magnification)
            dx, dy = torch.where(better, other_dx, dx), torch.where(better, other_dy, dy)
            magnification = torch.where(better, other, magnification)
        return dx, dy, magnification


@dataclass
class Rays:
    """Source-plane positions of rays through each lens, to estimate magnifications.

    The rays lie on circles around the centre of the lens, out to the corners of the frame. The deflection of a power
    law has the same shape on all circles, and shear is linear, so both are computed on half of the unit circle only.
    float64 is used, so that the selection of positions does not depend on the order of summation in a batch.

    Args:
        x: (n, m) in arcsec, relative to the point behind the centre of the lens. Each ray also represents the ray
            through the opposite point, which ends at -x, -y.
        y: (n, m).
        r2: (n, m), x^2 + y^2.
        area: (m,) area of the image plane that each ray represents, in square arcsec.
    """

    x: Tensor
    y: Tensor
    r2: Tensor
    area: Tensor

    @classmethod
    def through(cls, lens: Scene, frame: float, ellipticity: float) -> Rays:
        """Return the rays through lenses.

        Args:
            lens: Power laws with shear.
            frame: Height and width of the image in arcsec.
            ellipticity: Upper limit of the mass's |e| over the complete prior.
        """
        reach = frame / math.sqrt(2)
        circles, angles = math.ceil(reach / RADIAL_STEP), math.ceil(math.pi * reach / ANGULAR_STEP)
        mass = {name: lens[name].double() for name in ("theta_E", "gamma", "e1", "e2")}
        like = mass["theta_E"]
        radius = (torch.arange(circles, dtype=like.dtype, device=like.device) + 0.5) * (reach / circles)
        angle = (torch.arange(angles, dtype=like.dtype, device=like.device) + 0.5) * (math.pi / angles)
        cos, sin = angle.cos()[None, None], angle.sin()[None, None]
        zero, terms = torch.zeros_like(like), epl_terms(ellipticity, tolerance=3e-3)
        mass_x, mass_y = epl(cos, sin, **mass, center_x=zero, center_y=zero, terms=terms)
        shear_x, shear_y = shear(cos, sin, gamma1=lens["gamma1"].double(), gamma2=lens["gamma2"].double())
        power = (radius ** (2 - mass["gamma"])[:, None])[:, :, None]
        x = (radius[:, None] * (cos - shear_x)).addcmul_(power, mass_x, value=-1).flatten(1)
        y = (radius[:, None] * (sin - shear_y)).addcmul_(power, mass_y, value=-1).flatten(1)
        area = radius * (reach / circles * math.pi / angles)
        return cls(x, y, (x * x).addcmul_(y, y), area.repeat_interleave(angles))

    def of(self, rows: Tensor) -> Rays:
        """Return the rays through some of the lenses."""
        return Rays(self.x[rows], self.y[rows], self.r2[rows], self.area)

    def magnification(self, dx: Tensor, dy: Tensor, half_light_radius: Tensor) -> Tensor:
        """Estimate the magnification of round Gaussian sources.

        It is the flux within the circle around the frame, divided by the flux without a lens. The error is a few per
        cent for half-light radii from 0.1 arcsec. Core-Sersic galaxies of the same half-light radius are magnified 8 %
        less on average, because of their wings.

        Args:
            dx: (n,) positions in the source plane in arcsec, from the point behind the centre of the lens.
            dy: (n,) positions.
            half_light_radius: (n,) in arcsec.

        Returns:
            (n,) float64, rounded to three decimals.
        """
        dx, dy, radius = (values.double()[:, None] for values in (dx, dy, half_light_radius))
        variance = radius**2 / (2 * math.log(2))
        # Sum of both rays: exp(-|ray -+ position|^2 / (2 variance)).
        even = (self.r2 + (dx * dx + dy * dy)).mul_(-0.5 / variance)
        odd = (self.x * (dx / variance)).addcmul_(self.y, dy / variance)
        light = (even + odd).exp_().add_((even - odd).exp_()) @ self.area
        return (light / (2 * math.pi * variance.squeeze(1))).round(decimals=3)


def real_galaxies(
    *,
    cosmos: str | None = None,
    min_pixels: int = 50,
    max_noise: float = 0.05,
    good_stamps: bool = False,
    stamps: str | None = None,
    clean: bool = False,
) -> StampSources | None:
    """Load the real galaxies that a simulator's options select, if any.

    Args:
        cosmos: Folder of a COSMOS catalogue; for this and the next three options see `load_cosmos`.
        min_pixels: Minimum size of cutouts.
        max_noise: Maximum noise of cutouts.
        good_stamps: Whether to skip flagged cutouts.
        stamps: Folder of stamps; for this and the next option see `load_stamps`.
        clean: Whether stamps already show galaxies on an empty sky.

    Raises:
        UsageError: Both `cosmos` and `stamps` are given, or one is invalid.
    """
    if cosmos is not None and stamps is not None:
        raise UsageError("cosmos and stamps are both given; use one of them: a catalogue, or a folder of images")
    if cosmos is not None:
        from lenskit_lensing.sources.cosmos import load_cosmos

        return load_cosmos(cosmos, min_pixels=min_pixels, max_noise=max_noise, good_stamps=good_stamps)
    if stamps is not None:
        from lenskit_lensing.sources.stamp_folder import load_stamps

        return load_stamps(stamps, clean=clean)
    return None
