"""Checks of scene parameters that have a given value instead of a random one."""

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
    """Yield the given values that a simulator cannot render.

    Each item is a row number, a parameter name and a reason, as in `Simulator.refuses`.

    Args:
        priors: Priors of the randomly sampled parameters. The simulator is prepared for the ranges of these priors.
        given: Values (n,) by parameter name; NaN where the parameter is sampled at random.
        domains: Allowed range of each parameter.
        left_out: For some parameters, the value that switches off a part of the simulator if the prior is constant and
            equal to it. A different given value would then have no effect, so it is refused.
        merger_fraction: Fraction of sources that are mergers. If it is 0, merger parameters have no effect and are
            refused.
    """
    for name, values in given.items():
        if name in domains:
            low, high, words = domains[name]
            for row in _rows((values <= low) | (values >= high)):
                yield row, name, f"is not {words}"
        if name in left_out and priors[name].bounds == (left_out[name],) * 2:
            for row in _rows(values.isfinite() & (values != left_out[name])):
                fixed = f"{left_out[name]:g}"
                yield (
                    row,
                    name,
                    f"differs from its prior, the constant {fixed}; use --set simulator.{name}=PRIOR",
                )
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
            yield row, name, f"is wrong: the lens, at {lens[row]:g}, must be in front of the source, at {source[row]:g}"


def _too_long(priors: Priors, given: Given, pair: tuple[str, str]) -> Faults:
    """Yield the rows whose ellipticity or shear is too large.

    It must be below the bound in `JOINTLY`. The ellipticity of the lens must not exceed the largest that its priors
    give.
    """
    quantity, bound = JOINTLY[pair]
    norm = torch.hypot(*(_magnitude(priors, given, name) for name in pair))
    name = next(name for name in reversed(pair) if name in given)
    for row in _rows(norm >= bound):
        yield row, name, f"makes {quantity} of {norm[row]:.3g}; it must be below {bound}"
    planned = largest_norm(priors, *pair)
    if pair == ("e1", "e2"):  # the number of terms in the deflection's series was chosen for the priors' largest |e|
        for row in _rows(norm > planned * (1 + 1e-6)):
            wider = f"--set simulator.{name}='uniform(-0.6, 0.6)'"
            yield (
                row,
                name,
                f"makes {quantity} of {norm[row]:.3g}, but its priors reach only {planned:.3g}: widen one with {wider}",
            )


def _magnitude(priors: Priors, given: Given, name: str) -> Tensor:
    """Return the absolute values (n,) of a component.

    Where the component is sampled at random, it is the largest absolute value of the prior.
    """
    largest = torch.tensor(max(map(abs, priors[name].bounds)), dtype=torch.float64)
    return torch.where(given[name].isnan(), largest, given[name].abs()) if name in given else largest


def or_bound(priors: Priors, given: Given, name: str, side: int) -> Tensor:
    """Return given values (n,), or a bound of the prior where no value is given.

    Args:
        priors: Priors by parameter name.
        given: Values (n,) by parameter name, NaN where they are sampled at random.
        name: The parameter.
        side: 0 for the lower bound of the prior, 1 for the upper bound.
    """
    bound = torch.tensor(priors[name].bounds[side], dtype=torch.float64)
    if name in given:
        return torch.where(given[name].isnan(), bound, given[name])
    return bound.expand(len(next(iter(given.values()))))


def _rows(where: Tensor) -> list[int]:
    return where.nonzero().flatten().tolist()
