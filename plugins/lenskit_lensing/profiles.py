"""Sums of profiles by lenstronomy's names, and the function calls for them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

import torch
from torch import Tensor

from lenskit.plugin import UsageError, near

Components = Sequence[tuple[str, Mapping[str, Any]]]
"""Sum of profiles: the name and the parameters of each.

A parameter is a number, (n,), or (n, k) for k profiles of one kind in every lens (for example 25 subhalos), whose other
parameters may be (n,).
"""

DEFAULTS = {"center_x": 0.0, "center_y": 0.0, "ra_0": 0.0, "dec_0": 0.0, "phi_G": 0.0, "mirror": 1.0}
"""Defaults of omitted parameters; the other parameters are required."""

WHOLE = ("m", "image", "r_E")
"""Parameters that are passed on unchanged."""

Call = tuple[Callable[..., Any], dict[str, Any]]


def resolve(
    table: Mapping[str, Callable[..., Any]], components: Components, like: Tensor, **more: float
) -> tuple[list[Call], int]:
    """Return one function call per profile, and the number of lenses.

    Args:
        table: Functions by name; their keyword-only arguments are the parameters.
        components: Names and parameters of the profiles.
        like: A tensor with the dtype and device of the parameters.
        **more: Further parameters of all profiles, with their defaults.

    Raises:
        UsageError: A profile or a parameter is unknown; the message names it and the valid names.
    """
    single: list[Call] = []
    for name, given in components:
        function = _find(table, name)
        given = _complete(name, function, given, more)
        tensors = {k: torch.as_tensor(v, dtype=like.dtype, device=like.device) for k, v in given.items()}
        tensors = {k: v for k, v in tensors.items() if k not in WHOLE}
        whole = {k: v for k, v in given.items() if k in WHOLE}
        counts = {v.shape[1] for v in tensors.values() if v.ndim == 2}
        if len(counts) > 1 or any(v.ndim > 2 for v in tensors.values()):
            shapes = ", ".join(f"{k} {tuple(v.shape)}" for k, v in tensors.items())
            raise UsageError(f"shapes of parameters of {name} do not match: {shapes}; each must be (n,) or (n, k)")
        for k in range(counts.pop() if counts else 1):
            parts = {key: v[:, k] if v.ndim == 2 else v.reshape(-1) for key, v in tensors.items()}
            single.append((function, parts | whole))
    sizes = {len(v) for _, parameters in single for key, v in parameters.items() if key not in WHOLE} - {1}
    if len(sizes) > 1:
        raise UsageError(f"parameters are given for {' and for '.join(map(str, sorted(sizes)))} lenses; the numbers "
                         "must be equal")  # fmt: skip
    n = sizes.pop() if sizes else 1
    calls = [
        (function, {key: v if key in WHOLE else v.expand(n) for key, v in parameters.items()})
        for function, parameters in single
    ]
    return calls, n


@cache
def parameter_names(function: Callable[..., Any]) -> tuple[str, ...]:
    """Return the parameters of a profile: the keyword-only arguments of its function."""
    arguments = inspect.signature(function).parameters.values()
    return tuple(a.name for a in arguments if a.kind is a.KEYWORD_ONLY and a.name != "terms")


def _find(table: Mapping[str, Callable[..., Any]], name: str) -> Callable[..., Any]:
    if name in table:
        return table[name]
    raise UsageError(f"no profile {name}{near(name.upper(), table)}; there are {', '.join(table)}")


def _complete(
    name: str, function: Callable[..., Any], given: Mapping[str, Any], more: Mapping[str, float]
) -> dict[str, Any]:
    """Return the parameters, with defaults for omitted ones."""
    names = parameter_names(function)
    unknown = [key for key in given if key not in names and key not in more]
    if unknown:
        raise UsageError(f"{name} has no parameter {unknown[0]}: it takes {', '.join((*names, *more))}")
    complete = {key: DEFAULTS[key] for key in names if key in DEFAULTS} | dict(more) | dict(given)
    missing = [key for key in names if key not in complete and key != "r_E"]
    if missing:
        raise UsageError(f"{name} lacks {', '.join(missing)}: it takes {', '.join((*names, *more))}")
    return complete
