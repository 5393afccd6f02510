"""Names that plugin interface 2 changed, and detection of classes for interface 1."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

RENAMED: Mapping[str, Mapping[str, str]] = {
    "method": {
        "training_step(batch_index)": "step(batch)",
        "optimizer": "optimizer_defaults",
        "usual": "default_sections",
        "check(images)": "check_range(low, high)",
        "check_shown(self)": "check_range(low, high)",
    },
    "pairs": {"shared": "shared_groups"},
    "dataset": {"shared": "shared_groups"},
    "simulator": {"anomalous": "anomaly_options", "render(without)": "render(omit)"},
}
"""New names by kind, for attributes and functions. A parameter in parentheses identifies the old form of a function."""

MIXINS = {"score": "Scorer", "reconstruct": "Reconstructor", "predict": "Predictor"}
"""Mixin that a method must derive from, by the function that it implements."""

MOVED_NAMES: Mapping[str, str] = {
    "Chunk": "lenskit.evaluation.Lenses",
    "read_lenses": "lenskit.evaluation.StoredLenses",
    "simulated": "lenskit.evaluation.SimulatedLenses",
    "source_of": "lenskit.evaluation.training_set_of",
    "spelled_out": "lenskit.evaluation.absolute_spec",
    "stored": "lenskit.evaluation.StoredLenses",
}
"""New places of names of `lenskit.plugin` that were renamed."""

DEPRECATED: Mapping[str, str] = {}
"""New places of names that a facade still has: `{"lenskit.plugin.Old": "lenskit.plugin.New"}`.

A name stays here for one minor release, with a warning. Then it moves to `MOVED_NAMES`."""

OURS = ("lenskit", "torch", "pytorch_lightning", "lightning", "abc", "builtins")
"""Packages whose classes are not checked."""


def old_names(kind: str, component: object) -> list[str]:
    """Return the changes that a component needs, such as `usual to default_sections`.

    Args:
        kind: Its kind.
        component: Its class, or an object. Attributes of the object itself are checked, too.
    """
    loaded = component if isinstance(component, type) else type(component)
    own: list[Mapping[str, Any]] = [
        vars(base) for base in loaded.__mro__ if base.__module__.partition(".")[0] not in OURS
    ]
    if component is not loaded:
        own.append(vars(component))
    renamed = RENAMED.get(kind, {}).items()
    changes = [f"{old} to {new}" for old, new in renamed if any(_has(names, old) for names in own)]
    there = {base.__name__ for base in loaded.__mro__}
    return changes + [
        f"{name} by deriving from {mixin}"
        for name, mixin in (MIXINS.items() if kind == "method" else ())
        if mixin not in there and any(name in names for names in own)
    ]


def _has(names: Mapping[str, Any], old: str) -> bool:
    """Whether a namespace has an attribute, or a function with a parameter.

    `render(without)` is the function `render` with a parameter `without`.
    """
    name, _, parameter = old.partition("(")
    if name not in names:
        return False
    value = names[name]
    if parameter:
        return callable(value) and parameter.strip(")") in inspect.signature(value).parameters
    return not callable(value) and not isinstance(value, property)
