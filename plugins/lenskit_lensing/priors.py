"""Priors of scene parameters, and their valid ranges."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor

from lenskit.plugin import Distribution, UsageError

if TYPE_CHECKING:
    Prior = Distribution | str
else:
    Prior = Distribution
"""Type of an option that is a prior; in Python its text is accepted, too."""

Domain = tuple[float, float, str]


def _between(low: float, high: float, unit: str = "") -> Domain:
    return low, high, f"between {low:g} and {high:g}{unit}, both excluded"


def _from_zero(high: float, unit: str = "") -> Domain:
    return -1e-300, high, f"at least 0 and below {high:g}{unit}"


_LENGTH = _between(1e-3, 100, " arcsec")
_PLACE = _between(-100, 100, " arcsec")
_MAGNITUDE = _between(0, 40)
_COLOUR = _between(-10, 10)
_LOG_RATIO = _between(-6, 6)
_OF_FRAME = _between(-10, 10)
_BELOW_ONE = _between(-1, 1)
_REDSHIFT = _between(0, 20)
_INDEX = _between(0.2, 16)
_AXIS_RATIO = (0.02, 1 + 1e-9, "above 0.02 and at most 1")
_ANGLE = _between(-361, 361, " degrees")
_MULTIPOLE = _between(-0.3, 0.3)

DOMAINS: dict[str, Domain] = {
    "theta_E": _LENGTH,
    "gamma": _between(1, 3),
    "e1": _BELOW_ONE,
    "e2": _BELOW_ONE,
    "center_x": _PLACE,
    "center_y": _PLACE,
    "gamma1": _BELOW_ONE,
    "gamma2": _BELOW_ONE,
    "source_dx": _PLACE,
    "source_dy": _PLACE,
    "wide_dx": _PLACE,
    "wide_dy": _PLACE,
    "source_half_light_radius": _LENGTH,
    "source_n": _INDEX,
    "source_e1": _BELOW_ONE,
    "source_e2": _BELOW_ONE,
    "source_core_radius": _from_zero(3),
    "source_core_slope": _from_zero(1),
    "merger_distance": _from_zero(100),
    "merger_flux_ratio": _between(1e-6, 1e6),
    "light_n": _INDEX,
    "light_radius": _between(1e-2, 100),
    "light_q": _AXIS_RATIO,
    "light_angle": _ANGLE,
    "light_twist": _ANGLE,
    "light_m3": _MULTIPOLE,
    "light_m4": _MULTIPOLE,
    "disc_flux_ratio": _between(1e-6, 1e6),
    "disc_radius": _between(1e-2, 100),
    "disc_thickness": _AXIS_RATIO,
    "exposure_time": _between(1e-3, 1e9, " s"),
    "light_magnitude": _MAGNITUDE,
    "log_light_to_arc": _LOG_RATIO,
    "log_arc_to_noise": _LOG_RATIO,
    "log_noise": _between(-10, 1),
    "source_offset_x": _between(-100, 100),
    "source_offset_y": _between(-100, 100),
    "source_magnitude": _MAGNITUDE,
    "lens_magnitude": _MAGNITUDE,
    "neighbour_magnitude": _MAGNITUDE,
    **{f"{galaxy}_{name}": _COLOUR for galaxy in ("source", "lens", "neighbour") for name in ("I_Y", "Y_J", "J_H")},
    "velocity_dispersion": _between(1e-2, 3000, " km/s"),
    "z_lens": _REDSHIFT,
    "z_source": _REDSHIFT,
    "neighbours": _from_zero(33),
    "neighbour_x": _OF_FRAME,
    "neighbour_y": _OF_FRAME,
    "neighbour_log_flux": _LOG_RATIO,
    "neighbour_radius": _LENGTH,
    "neighbour_n": _INDEX,
    "neighbour_e1": _BELOW_ONE,
    "neighbour_e2": _BELOW_ONE,
    "background_gradient": _between(-1000, 1000),
    "masked_pixels": _from_zero(0.5),
}
"""Open interval of valid values of each prior, and its description.

The intervals are far wider than nature, but within the range of float32.
"""

JOINTLY = {
    ("e1", "e2"): ("an ellipticity |e|", 0.95),
    ("source_e1", "source_e2"): ("an ellipticity |e|", 1),
    ("neighbour_e1", "neighbour_e2"): ("an ellipticity |e|", 1),
    ("gamma1", "gamma2"): ("a shear |gamma|", 1),
}
"""Components of vectors, with a description and the maximum length.

The closer |e| is to one, the longer is the series of an elliptical power law.
"""

TAIL = 1e-9
"""Probability at which a prior without bounds is cut off on either side: six standard deviations of a normal."""


@dataclass(frozen=True)
class Truncated(Distribution):
    """Distribution without its extreme tails, so that it has bounds."""

    whole: Distribution
    name: ClassVar[str] = "truncated"

    def quantile(self, u: Tensor) -> Tensor:
        return self.whole.quantile(u.clamp(TAIL, 1 - TAIL))

    @property
    def bounds(self) -> tuple[float, float]:
        low, high = self.whole.quantile(torch.tensor([TAIL, 1 - TAIL], dtype=torch.float64)).tolist()
        return low, high

    def __str__(self) -> str:
        return str(self.whole)


def parse_priors(
    given: Mapping[str, Distribution | str | float], domains: Mapping[str, Domain] = DOMAINS
) -> dict[str, Distribution]:
    """Parse priors and check their ranges.

    Args:
        given: Priors by parameter name. A prior without bounds is cut off at `TAIL`.
        domains: Valid range of each parameter.

    Raises:
        UsageError: A prior is invalid; the message names the option and the valid range.
    """
    priors: dict[str, Distribution] = {}
    for name, value in given.items():
        low, high, words = domains[name]
        try:
            prior = Distribution.parse(value)
        except ValueError as error:
            raise UsageError(f"option {name}: {error}") from None
        if not all(map(math.isfinite, prior.bounds)):
            prior = Truncated(prior)
        smallest, largest = prior.bounds
        if not low < smallest <= largest < high:
            raise UsageError(f"option {name}: {prior} gives {smallest:g} to {largest:g}; it must be {words}")
        priors[name] = prior
    for (first, second), (what, bound) in JOINTLY.items():
        if first in priors and second in priors and (norm := largest_norm(priors, first, second)) >= bound:
            raise UsageError(
                f"options {first} and {second}: {priors[first]} and {priors[second]} reach {what} of {norm:.3g}; "
                f"it must be below {bound}"
            )
    return priors


def largest_norm(priors: Mapping[str, Distribution], first: str, second: str) -> float:
    """Return the largest length of a vector whose two components have these priors."""
    return math.hypot(*(max(map(abs, priors[name].bounds)) for name in (first, second)))


def width(prior: Distribution) -> float:
    """Return the full range of a prior with bounds."""
    low, high = prior.bounds
    return high - low
