"""Priors of scenes: what they may be."""

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
"""Annotation of an option that is a prior: a distribution, which from Python may be given as its text."""

_ABOVE_ZERO = (0, math.inf, "above 0")
_AT_LEAST_ZERO = (-1e-300, math.inf, "at least 0")
_FINITE = (-math.inf, math.inf, "finite")
_BELOW_ONE = (-1, 1, "between -1 and 1, both excluded")
_REDSHIFT = (0, 20, "between 0 and 20, both excluded")
_INDEX = (0.2, 16, "between 0.2 and 16, both excluded")

DOMAINS: dict[str, tuple[float, float, str]] = {
    "theta_E": _ABOVE_ZERO,
    "gamma": (1, 3, "between 1 and 3, both excluded"),
    "e1": _BELOW_ONE,
    "e2": _BELOW_ONE,
    "center_x": _FINITE,
    "center_y": _FINITE,
    "gamma1": _BELOW_ONE,
    "gamma2": _BELOW_ONE,
    "source_dx": _FINITE,
    "source_dy": _FINITE,
    "source_half_light_radius": _ABOVE_ZERO,
    "source_n": _INDEX,
    "source_e1": _BELOW_ONE,
    "source_e2": _BELOW_ONE,
    "source_core_radius": (-1e-300, 10, "at least 0 and below 10"),
    "source_core_slope": (-1e-300, 2, "at least 0 and below 2"),
    "merger_distance": _AT_LEAST_ZERO,
    "merger_flux_ratio": _ABOVE_ZERO,
    "light_n": _INDEX,
    "light_radius": _ABOVE_ZERO,
    "light_magnitude": _FINITE,
    "log_light_to_arc": _FINITE,
    "log_noise": _FINITE,
    "source_offset_x": _FINITE,
    "source_offset_y": _FINITE,
    "source_magnitude": _FINITE,
    "lens_magnitude": _FINITE,
    "neighbour_magnitude": _FINITE,
    **{f"{galaxy}_{name}": _FINITE for galaxy in ("source", "lens", "neighbour") for name in ("I_Y", "Y_J", "J_H")},
    "velocity_dispersion": _ABOVE_ZERO,
    "z_lens": _REDSHIFT,
    "z_source": _REDSHIFT,
    "neighbours": (-1e-300, 33, "at least 0 and below 33"),
    "neighbour_x": _FINITE,
    "neighbour_y": _FINITE,
    "neighbour_log_flux": _FINITE,
    "neighbour_radius": _ABOVE_ZERO,
    "neighbour_n": _INDEX,
    "neighbour_e1": _BELOW_ONE,
    "neighbour_e2": _BELOW_ONE,
    "background_gradient": _FINITE,
    "masked_pixels": (-1e-300, 0.5, "at least 0 and below 0.5"),
}
"""Of each prior the open interval that it has to lie in, and that in words."""

TAIL = 1e-9
"""Probability at which a prior without bounds is cut off on either side: six standard deviations of a normal."""


@dataclass(frozen=True)
class Truncated(Distribution):
    """A distribution without its extreme tails, so that there are bounds to check and to plan for."""

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


def parse_priors(given: Mapping[str, Distribution | str | float]) -> dict[str, Distribution]:
    """Reads priors and checks that what they give is possible.

    Args:
        given: Priors by names of `DOMAINS`. Where one has no bounds, it is cut off at `TAIL`.

    Raises:
        UsageError: naming the option and what is right.
    """
    priors: dict[str, Distribution] = {}
    for name, value in given.items():
        low, high, words = DOMAINS[name]
        try:
            prior = Distribution.parse(value)
        except ValueError as error:
            raise UsageError(f"option {name}: {error}") from None
        if not all(map(math.isfinite, prior.bounds)):
            prior = Truncated(prior)
        smallest, largest = prior.bounds
        if not low < smallest <= largest < high:
            raise UsageError(f"option {name}: {prior} gives {smallest:g} to {largest:g}; {words} is right")
        priors[name] = prior
    for first, second in (("e1", "e2"), ("source_e1", "source_e2"), ("neighbour_e1", "neighbour_e2")):
        if first in priors and largest_norm(priors, first, second) >= 1:
            raise UsageError(
                f"options {first} and {second}: {priors[first]} and {priors[second]} reach an ellipticity |e| of "
                f"{largest_norm(priors, first, second):.3g}; below 1 is right"
            )
    return priors


def largest_norm(priors: Mapping[str, Distribution], first: str, second: str) -> float:
    """Bound of the length of a vector with these priors for its components."""
    return math.hypot(*(max(map(abs, priors[name].bounds)) for name in (first, second)))


def width(prior: Distribution) -> float:
    """Full range of a prior with bounds."""
    low, high = prior.bounds
    return high - low
