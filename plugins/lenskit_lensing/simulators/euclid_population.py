"""Source population, magnitudes and colours of `euclid-challenge`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor

from lenskit.plugin import Distribution, KeyedGenerator, Parameter, Scene, UsageError
from lenskit_lensing.instruments.instrument import Band
from lenskit_lensing.mass import shear
from lenskit_lensing.mass.coordinates import columns
from lenskit_lensing.scenes.look_alikes import KINDS, LookAlikes
from lenskit_lensing.sources.population import SourcePopulation

COLOURS = {"Y": "I_Y", "J": "Y_J", "H": "J_H"}
"""Colour of each band: the magnitude of the previous band minus its magnitude. The band before Y is VIS.
"""

PHOTOMETRY = ("magnitude", *COLOURS.values())
"""Parameters sampled for each galaxy, which define its brightness in all bands."""

UNIT = Distribution.parse("uniform(0, 1)")


@dataclass(frozen=True)
class Cut(Distribution):
    """Continuous distribution restricted to an interval.

    Values outside never occur; values inside keep their relative probabilities.
    """

    whole: Distribution
    low: float
    high: float
    name: ClassVar[str] = "cut"

    def __post_init__(self) -> None:
        first, last = (self._probability(bound) for bound in (self.low, self.high))
        if not first < last:
            raise ValueError(f"{self.whole} has no values between {self.low:g} and {self.high:g}")
        object.__setattr__(self, "_between", (first, last))

    def _probability(self, bound: float) -> float:
        """Return the probability of values below a bound, by bisection."""
        low, high = 0.0, 1.0
        for _ in range(60):
            middle = (low + high) / 2
            below = float(self.whole.quantile(torch.tensor(middle, dtype=torch.float64))) < bound
            low, high = (middle, high) if below else (low, middle)
        return high

    def quantile(self, u: Tensor) -> Tensor:
        first, last = self._between  # type: ignore[attr-defined]
        return self.whole.quantile(first + (last - first) * u).clamp(self.low, self.high)

    @property
    def bounds(self) -> tuple[float, float]:
        low, high = self.whole.bounds
        return max(low, self.low), min(high, self.high)

    def __str__(self) -> str:
        return str(self.whole)


@dataclass
class ChallengeSources(SourcePopulation):
    """Sources that are lensed, not lensed, or absent.

    The priors of `source_offset_x` and `source_offset_y` are in units of the Einstein radius, from the point behind the
    lens's centre. A scene that is not intended as a lens has no source, or its source lies farther out in the same
    direction. Its distance is then between the two values of `outside`, in units of theta_E. `intend` makes this choice
    with the lens, so all renderings of one lens are intended as lenses, or none is. The label rule may give a different
    result.

    A scene that is not intended as a lens may have a look-alike instead of a source: see `LookAlikes`.
    """

    lens_fraction: float = 1.0
    absent_fraction: float = 0.5
    outside: tuple[float, float] = (2.0, 4.0)
    look_alikes: LookAlikes = field(default_factory=LookAlikes)

    @property
    def has_look_alikes(self) -> bool:
        """Whether scenes may have look-alikes."""
        return bool(self.look_alikes) and self.lens_fraction < 1

    def intend(self, rng: KeyedGenerator) -> Scene:
        """Sample whether scenes are intended as lenses, as entries of the group `lens`.

        Returns:
            `source_candidate`, int64, 1 for a lens and 0 otherwise; `source_absent`, bool; and, if there may be
            look-alikes, `look_alike`, int64, an index into `look_alikes.KINDS`; (n,) each.
        """
        uniforms = rng.samples({"candidate": UNIT, "absent": UNIT, "look_alike_kind": UNIT})
        candidate = uniforms["candidate"] < self.lens_fraction
        absent = ~candidate & (uniforms["absent"] < self.absent_fraction)
        if not self.has_look_alikes:
            return {"source_candidate": candidate.long(), "source_absent": absent}
        look_alike = torch.where(candidate, 0, self.look_alikes.kind(uniforms["look_alike_kind"]))
        absent = absent | (look_alike > 0)
        return {"source_candidate": candidate.long(), "source_absent": absent, "look_alike": look_alike}

    def draw(self, rng: KeyedGenerator, lens: Scene) -> Scene:
        """Sample sources as `SourcePopulation` does, and look-alikes.

        Args:
            rng: Generator of the group.
            lens: Entries of the group `lens`, including those of `intend`.
        """
        scene = super().draw(rng, lens)
        for galaxy in ("source", "companion"):
            for name, none in (("flux", 0), ("stamp", -1)):
                entry = f"{galaxy}_{name}"
                scene[entry] = torch.where(lens["source_absent"], none, scene[entry])
        if self.has_look_alikes:
            dx, dy = self._offset(rng).values()
            scene |= self.look_alikes.draw(rng, lens, scene | {"offset": torch.hypot(dx, dy)})
        return scene

    def _offset(self, rng: KeyedGenerator) -> Scene:
        """Sample positions in units of theta_E for lensed sources."""
        return rng.samples({name: self.priors[name] for name in ("source_offset_x", "source_offset_y")})

    def _place(self, rng: KeyedGenerator, lens: Scene, half_light_radius: Tensor) -> Scene:
        """Sample positions, absolute and relative to the point behind the lens's centre."""
        dx, dy = self._offset(rng).values()
        low, high = self.outside
        far = (low + (high - low) * rng.sample("outside", UNIT)) / torch.hypot(dx, dy).clamp(min=1e-3)
        reach = lens["theta_E"] * torch.where(lens["source_candidate"] == 1, 1, far)
        center_x, center_y = columns(lens["center_x"], lens["center_y"])
        shear_x, shear_y = shear(center_x, center_y, gamma1=lens["gamma1"], gamma2=lens["gamma2"])
        dx, dy = reach * dx, reach * dy
        x, y = (center_x - shear_x)[:, 0, 0] + dx, (center_y - shear_y)[:, 0, 0] + dy
        return {"source_dx": dx, "source_dy": dy, "source_x": x, "source_y": y}


def theta_E_prior(given: Distribution | str | None, default: str, low: float, high: float) -> Distribution:
    """Return the prior of the Einstein radius, restricted to an interval.

    Raises:
        UsageError: The prior gives no value in the interval.
    """
    try:
        return Cut(Distribution.parse(default if given is None else given), low, high)
    except ValueError as error:
        raise UsageError(f"option theta_E: {error}; change it, theta_E_min or theta_E_max") from None


def rates(scene: Scene, galaxy: str, bands: Sequence[Band]) -> Tensor:
    """Return fluxes in electrons per second, (n, bands, ...).

    Args:
        scene: Entries `..._magnitude` in VIS, `..._I_Y`, `..._Y_J` and `..._J_H`; (n, ...) each.
        galaxy: Prefix of the entries' names.
        bands: Bands with the names VIS, Y, J or H.
    """
    magnitude = scene[f"{galaxy}_magnitude"]
    of_band = {"VIS": magnitude}
    for name, colour in COLOURS.items():
        magnitude = magnitude - scene[f"{galaxy}_{colour}"]
        of_band[name] = magnitude
    return torch.stack([band.rate(of_band[band.name]) for band in bands], dim=1)


def recorded_parameters(
    physical: bool, detection: bool, stamps: bool = False, mergers: bool = False, look_alikes: bool = False
) -> Sequence[Parameter]:
    """Return the recorded parameters.

    Args:
        physical: Whether Einstein radii follow from velocity dispersions and redshifts.
        detection: Whether `is_lens` is a headline parameter.
        stamps: Whether sources may be real galaxies. Each real galaxy has to stay in one part of a split.
        mergers: Whether sources may be two galaxies.
        look_alikes: Whether there may be look-alikes.
    """
    parameters = [
        Parameter("theta_E", "arcsec", r"$\theta_E$", headline=True),
        Parameter("is_lens", "", "lens", "instrument", classes=("non-lens", "lens"), headline=detection),
        Parameter("gamma", "", r"$\gamma$"),
        Parameter("e1", "", "$e_1$"),
        Parameter("e2", "", "$e_2$"),
        Parameter("gamma1", "", r"$\gamma_1$"),
        Parameter("gamma2", "", r"$\gamma_2$"),
        Parameter("center_x", "arcsec", "$x_c$"),
        Parameter("center_y", "arcsec", "$y_c$"),
        Parameter("source_candidate", "", "candidate", classes=("non-lens", "lens")),
        Parameter("source_dx", "arcsec", r"$\Delta x_s$", "source"),
        Parameter("source_dy", "arcsec", r"$\Delta y_s$", "source"),
        Parameter("source_half_light_radius", "arcsec", "$R_s$", "source"),
        Parameter("source_magnitude", "mag", "$m_s$", "source"),
        Parameter("lens_magnitude", "mag", "$m_l$", "lens_light"),
        Parameter("light_R_sersic", "arcsec", "$R_l$", "lens_light"),
        Parameter("n_source_im", "", r"$n_\mathrm{im}$", "instrument"),
        Parameter("mag_eff", "", r"$\mu_\mathrm{eff}$", "instrument"),
        Parameter("n_pix_source", "", r"$n_\mathrm{pix}$", "instrument"),
    ]
    if physical:
        parameters += [
            Parameter("velocity_dispersion", "km/s", r"$\sigma_v$"),
            Parameter("z_lens", "", "$z_l$"),
            Parameter("z_source", "", "$z_s$"),
        ]
    if stamps:
        parameters.append(Parameter("source_stamp", "", "stamp", "source", identity=True))
    if stamps and mergers:
        parameters.append(Parameter("companion_stamp", "", "companion's stamp", "source", identity=True))
    if look_alikes:
        parameters.append(Parameter("look_alike", "", "look-alike", classes=KINDS))
    return parameters
