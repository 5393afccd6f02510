"""Values that stand in for draws of scenes: what they may be, as `lenskit render` has it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType

import torch
from torch import Tensor

from lenskit.plugin import Distribution
from lenskit_lensing.priors import DOMAINS, JOINTLY, Domain, largest_norm

Priors = Mapping[str, Distribution]
Given = Mapping[str, Tensor]
Faults = Iterator[tuple[int, str, str]]

NONE: Mapping[str, float] = MappingProxyType({})


def refused(
    priors: Priors,
    given: Given,
    domains: Mapping[str, Domain] = DOMAINS,
    left_out: Mapping[str, float] = NONE,
    merger_fraction: float = 1.0,
) -> Faults:
    """What of values a simulator cannot render; see `Simulator.refuses`.

    Args:
        priors: Of what is drawn where nothing is given; simulators plan for what these give.
        given: Values (n,) by name, NaN where they are drawn.
        domains: What each of them may be.
        left_out: Values that, as constant priors, make a simulator leave something out: others come too late then.
        merger_fraction: Of sources; what is said of mergers has no effect if there are none.
    """
    for name, values in given.items():
        if name in domains:
            low, high, words = domains[name]
            for row in _rows((values <= low) | (values >= high)):
                yield row, name, f"is not {words}"
        if name in left_out and priors[name].bounds == (left_out[name],) * 2:
            for row in _rows(values.isfinite() & (values != left_out[name])):
                yield row, name, f"is not what its prior is, {left_out[name]:g} throughout: --set another one"
        if name.startswith("merger_") and merger_fraction == 0:
            for row in _rows(values.isfinite()):
                yield row, name, "has no effect: there are no mergers with a simulator.merger_fraction of 0"
    for pair in JOINTLY:
        if pair[0] in priors and given.keys() & {*pair}:
            yield from _too_long(priors, given, pair)
    if "z_lens" in priors and given.keys() & {"z_lens", "z_source"}:
        lens, source = or_bound(priors, given, "z_lens", 1), or_bound(priors, given, "z_source", 0)
        name = "z_source" if "z_source" in given else "z_lens"
        for row in _rows(lens >= source):
            yield row, name, f"is wrong: the lens, at {lens[row]:g}, has to be before the source, at {source[row]:g}"


def _too_long(priors: Priors, given: Given, pair: tuple[str, str]) -> Faults:
    """Where the components of a vector are too long together, or longer than is planned for."""
    what, bound = JOINTLY[pair]
    norm = torch.hypot(*(_magnitude(priors, given, name) for name in pair))
    name = next(name for name in reversed(pair) if name in given)
    for row in _rows(norm >= bound):
        yield row, name, f"makes {what} of {norm[row]:.3g}; below {bound} is right"
    planned = largest_norm(priors, *pair)
    if pair == ("e1", "e2"):  # of which the deflection's series is as long as it has to be
        for row in _rows(norm > planned * (1 + 1e-6)):
            wider = f"--set simulator.{name}='uniform(-0.6, 0.6)'"
            yield (
                row,
                name,
                f"makes {what} of {norm[row]:.3g}, and its priors reach {planned:.3g}: widen one, as by {wider}",
            )


def _magnitude(priors: Priors, given: Given, name: str) -> Tensor:
    """The absolute values (n,) of a component, or the largest that its prior has, where it is drawn."""
    largest = torch.tensor(max(map(abs, priors[name].bounds)), dtype=torch.float64)
    return torch.where(given[name].isnan(), largest, given[name].abs()) if name in given else largest


def or_bound(priors: Priors, given: Given, name: str, side: int) -> Tensor:
    """Values (n,), or a bound of their prior, where they are drawn."""
    bound = torch.tensor(priors[name].bounds[side], dtype=torch.float64)
    if name in given:
        return torch.where(given[name].isnan(), bound, given[name])
    return bound.expand(len(next(iter(given.values()))))


def _rows(where: Tensor) -> list[int]:
    return where.nonzero().flatten().tolist()
