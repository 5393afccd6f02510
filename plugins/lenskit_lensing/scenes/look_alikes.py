"""Galaxies that resemble lenses: rings, spirals, mergers and edge-on discs.

Lens finders confuse such galaxies with lenses, and their performance depends on the non-lenses in their training set
(Canameras et al. 2020, https://arxiv.org/abs/2004.13048). A look-alike is light around or next to the lens galaxy, in
place of arcs. Sizes are in units of theta_E, and the flux is that of a magnified source, so that neither separates
lenses from look-alikes.

- Ring: a smooth ring around an elliptical galaxy, as in Hoag's object (Schweizer et al. 1987, ApJ 320, 454).
- Spiral: an exponential disc with logarithmic arms around a bulge, with typical pitch angles (Kennicutt 1981, AJ 86,
  1847).
- Merger: one or two companions with a faint arc of tidal debris, either a tail, which bends around the main galaxy, or
  a bridge between both (Toomre & Toomre 1972, https://doi.org/10.1086/151823).
- Edge-on disc: an exponential disc with a thickness of a tenth to a quarter of its length; the mean of Kregel et al.
  (2002, https://arxiv.org/abs/astro-ph/0204154) is 1 / 7.3.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from lenskit.plugin import Distribution, KeyedGenerator, Scene, UsageError
from lenskit_lensing.light import sersic
from lenskit_lensing.patterns import ring, spiral
from lenskit_lensing.render.torch_renderer import TorchRenderer
from lenskit_lensing.scenes.lens_light import total_light
from lenskit_lensing.scenes.light_structure import ellipticity

KINDS = ("none", "ring", "spiral", "merger", "edge_on")
"""Classes of the parameter `look_alike`."""

RING, SPIRAL, MERGER, EDGE_ON = range(1, 5)

UNIT = Distribution.parse("uniform(0, 1)")

PRIORS = {
    name: Distribution.parse(prior)
    for name, prior in {
        # Radii, distances and lengths are in units of theta_E.
        "ring_radius": "uniform(0.7, 1.4)",
        "ring_q": "uniform(0.6, 1)",
        "spiral_scale": "uniform(0.4, 0.8)",
        "spiral_q": "uniform(0.4, 1)",
        "spiral_arms": "choice(2, 2, 3, 4)",
        "spiral_pitch": "uniform(10, 30)",
        "spiral_concentration": "uniform(1.5, 4)",
        "first_distance": "uniform(0.8, 1.6)",
        "second_distance": "uniform(0.8, 1.6)",
        "second_ratio": "uniform(0.2, 1)",
        "tail_share": "uniform(0.1, 0.3)",
        "disc_length": "uniform(0.6, 1.4)",
        "disc_q": "uniform(0.1, 0.25)",
        "angle": "uniform(0, 6.283185307179586)",
        "first_angle": "uniform(0, 6.283185307179586)",
        "second_turn": "uniform(0.8, 5.5)",
        "side": "uniform(0, 1)",
        "bridge": "uniform(0, 1)",
        "triple": "uniform(0, 1)",
    }.items()
}
"""Priors of look-alikes. Each option has the prefix `look_alike_`."""

MAX_WIDTH = 0.25
"""Largest standard deviation of the width of a ring or tidal arc, in units of its radius; a wider ring is a disc."""

TAIL_CONCENTRATION, TAIL_TURN = 4.0, 0.6
"""Parameters of a tail: an arc of about one radian, and the angle in radians between its centre and its companion."""

BRIDGE_CONCENTRATION = 1.5
"""Parameter of a bridge: half a circle through both galaxies."""


@dataclass(frozen=True)
class LookAlikes:
    """Sampler of galaxies that resemble lenses, for scenes without a lens.

    Args:
        fractions: Fractions of rings, spirals, mergers and edge-on discs among scenes that are not lens candidates.

    Raises:
        UsageError: The sum of the fractions exceeds one.
    """

    fractions: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)

    def __post_init__(self) -> None:
        if (total := sum(self.fractions)) > 1 + 1e-9:
            names = ", ".join(f"look_alike_{kind}" for kind in KINDS[1:])
            raise UsageError(f"options {names}: these fractions add up to {total:g}; the sum must be at most 1")

    def __bool__(self) -> bool:
        return any(self.fractions)

    def kind(self, u: Tensor) -> Tensor:
        """Return kinds, indices of `KINDS` as int64 (n,), for uniform numbers (n,)."""
        kind, below = torch.zeros_like(u, dtype=torch.int64), 0.0
        for number, fraction in enumerate(self.fractions, 1):
            kind = torch.where((u >= below) & (u < below + fraction), number, kind)
            below += fraction
        return kind

    def draw(self, rng: KeyedGenerator, lens: Scene, source: Scene) -> Scene:
        """Sample the light of look-alikes, as entries of the group `source`.

        Absent components have a share of 0.

        Args:
            rng: The generator of the group.
            lens: Entries `look_alike`, `theta_E`, `gamma`, `e1`, `e2`, `center_x`, `center_y`.
            source: The source that the look-alike replaces, with `offset`: its distance from the point behind the lens
                in units of theta_E. The first companion has the shape of this source, the second that of
                `companion_...`.

        Returns:
            `look_alike_magnification`, the flux relative to that of the source, and the entries for `look_alike_light`.
        """
        # float64, so that scenes do not depend on the order of summation in a batch
        drawn = {
            name.removeprefix("look_alike_"): values.double()
            for name, values in rng.samples({f"look_alike_{name}": prior for name, prior in PRIORS.items()}).items()
        }
        dtype, lens = lens["theta_E"].dtype, {name: values.double() for name, values in lens.items()}
        source = {name: values.double() for name, values in source.items()}
        flux = magnification(source["offset"], source["source_half_light_radius"] / lens["theta_E"], lens["gamma"])
        parts = {
            "": {"magnification": flux},
            "spiral_": self._spiral(drawn, lens),
            **self._companions(drawn, lens, source, flux),
            "band_": self._band(drawn, lens, source),
        }
        return {
            f"look_alike_{part}{name}": values.to(dtype)
            for part, entries in parts.items()
            for name, values in entries.items()
        }

    def _spiral(self, drawn: Scene, lens: Scene) -> Scene:
        """Return a disc with arms, with the centre and position angle of the mass."""
        e1, e2 = _along(lens, drawn["spiral_q"])
        way = torch.where(drawn["side"] < 0.5, -1.0, 1.0)
        return {
            "scale": drawn["spiral_scale"] * lens["theta_E"],
            "e1": e1,
            "e2": e2,
            "arms": drawn["spiral_arms"],
            "pitch": way * drawn["spiral_pitch"] * (math.pi / 180),
            "angle": drawn["angle"],
            "concentration": drawn["spiral_concentration"],
        }

    def _companions(self, drawn: Scene, lens: Scene, source: Scene, flux: Tensor) -> dict[str, Scene]:
        """Return the companion galaxies; an edge-on disc is the first entry.

        A companion has the surface brightness of the source: its area is proportional to its flux, like that of a
        lensed image.
        """
        merger, disc = lens["look_alike"] == MERGER, lens["look_alike"] == EDGE_ON
        share = 1 - drawn["tail_share"]
        second = torch.where(drawn["triple"] < 0.5, drawn["second_ratio"], 0)
        shares = {"first_": share / (1 + second), "second_": share * second / (1 + second)}
        angles = {"first_": drawn["first_angle"], "second_": drawn["first_angle"] + drawn["second_turn"]}
        companions: dict[str, Scene] = {}
        for part, look in (("first_", "source_"), ("second_", "companion_")):
            size = source[f"{look}half_light_radius"]
            grown = size * (flux * shares[part]).sqrt()
            distance = drawn[f"{part}distance"] * lens["theta_E"]
            companions[part] = {
                "share": torch.where(merger, shares[part], 0),
                "R_sersic": torch.minimum(grown, torch.maximum(size, 0.5 * lens["theta_E"])),
                "n": source[f"{look}n"],
                "e1": source[f"{look}e1"],
                "e2": source[f"{look}e2"],
                "x": lens["center_x"] + distance * angles[part].cos(),
                "y": lens["center_y"] + distance * angles[part].sin(),
            }
        e1, e2 = _along(lens, drawn["disc_q"])
        edge_on = {
            "share": torch.ones_like(e1),
            "R_sersic": drawn["disc_length"] * lens["theta_E"] * drawn["disc_q"].sqrt(),
            "n": torch.ones_like(e1),
            "e1": e1,
            "e2": e2,
            "x": lens["center_x"],
            "y": lens["center_y"],
        }
        first = companions["first_"]
        companions["first_"] = {name: torch.where(disc, edge_on[name], values) for name, values in first.items()}
        return companions

    def _band(self, drawn: Scene, lens: Scene, source: Scene) -> Scene:
        """Return a ring, or the tidal arc of a merger."""
        is_ring = lens["look_alike"] == RING
        bridge = drawn["bridge"] < 0.5
        side = torch.where(drawn["side"] < 0.5, -1.0, 1.0)
        distance = drawn["first_distance"] * lens["theta_E"]
        turn = torch.where(bridge, math.pi / 2, TAIL_TURN)
        # A bridge is centred between the galaxies, a tail on the main one.
        shift = torch.where(bridge & ~is_ring, distance / 2, 0)
        tidal_radius = torch.where(bridge, distance / 2, distance)
        radius = torch.where(is_ring, drawn["ring_radius"] * lens["theta_E"], tidal_radius)
        # A Gaussian of this standard deviation has its half maximum at the source's half-light radius.
        width = source["source_half_light_radius"] / math.sqrt(2 * math.log(2))
        tidal_k = torch.where(bridge, BRIDGE_CONCENTRATION, TAIL_CONCENTRATION)
        twice = 2 * drawn["angle"]
        e1, e2 = ellipticity(torch.where(is_ring, drawn["ring_q"], 1), twice.cos(), twice.sin())
        tidal_share = torch.where(lens["look_alike"] == MERGER, drawn["tail_share"], 0)
        return {
            "share": torch.where(is_ring, 1.0, tidal_share),
            "radius": radius,
            "width": torch.minimum(width, MAX_WIDTH * radius),
            "e1": e1,
            "e2": e2,
            "x": lens["center_x"] + shift * drawn["first_angle"].cos(),
            "y": lens["center_y"] + shift * drawn["first_angle"].sin(),
            "angle": drawn["first_angle"] + side * turn,
            "concentration": torch.where(is_ring, 0.0, tidal_k),
        }


def magnification(offset: Tensor, size: Tensor, gamma: Tensor) -> Tensor:
    """Return the magnification by a round power law near the optical axis.

    A point at `offset` has two images with a total magnification of 2 / ((gamma - 1) offset). 2 / offset is exact for
    an isothermal sphere. An exponential disc centred behind the lens has the magnification of a point at 0.6 of its
    half-light radius.

    Args:
        offset: (n,) distance of the source from the point behind the centre of the lens, in units of theta_E.
        size: (n,) half-light radius of the source in units of theta_E.
        gamma: (n,) slope of the mass density, above 1.
    """
    return 2 / ((gamma - 1) * torch.hypot(offset, 0.6 * size))


def look_alike_light(scene: Scene, renderer: TorchRenderer) -> Tensor:
    """Return the surface brightness of look-alikes before the PSF, with a flux of one.

    The shape is (n, pixels, pixels), the unit is per square arcsec. It is 0 in scenes without a look-alike.

    Args:
        scene: Scene with the entries of `LookAlikes.draw`, and `look_alike`, `center_x`, `center_y`.
        renderer: Averages light over pixels.
    """
    of = {name.removeprefix("look_alike_"): v for name, v in scene.items() if name.startswith("look_alike_")}
    share = {part: of[f"{part}_share"] for part in ("band", "first", "second")}
    share["spiral"] = (scene["look_alike"] == SPIRAL).to(of["magnification"])
    profiles: dict[str, Callable[..., Tensor]] = {"band": ring, "first": galaxy, "second": galaxy, "spiral": spiral}
    total = of["magnification"].new_zeros(len(scene["look_alike"]), renderer.pixels, renderer.pixels)
    for part, profile in profiles.items():
        # A CPU renders existing look-alikes only; on a GPU the selection would synchronise with the host.
        rows = (share[part] > 0).nonzero().squeeze(1) if total.device.type == "cpu" else slice(None)
        some = {
            name.removeprefix(f"{part}_"): values[rows]
            for name, values in of.items()
            if name.startswith(f"{part}_") and not name.endswith("_share")
        }
        some |= {f"center_{axis}": some.pop(axis, scene[f"center_{axis}"][rows]) for axis in "xy"}
        if len(some["center_x"]):
            total[rows] += share[part][rows, None, None] * renderer.averaged(profile, some)
    return total


def galaxy(x: Tensor, y: Tensor, *, R_sersic: Tensor, n: Tensor, **place: Tensor) -> Tensor:
    """Return Sersic profiles with a flux of one (n, height, width), see `sersic`."""
    return sersic(x, y, R_sersic=R_sersic, n_sersic=n, **place) / total_light(R_sersic, n)[:, None, None]


def _along(lens: Scene, q: Tensor) -> tuple[Tensor, Tensor]:
    """Return the ellipticity for the axis ratio q and the position angle of the mass."""
    angle = torch.atan2(lens["e2"], lens["e1"])
    return ellipticity(q, angle.cos(), angle.sin())
