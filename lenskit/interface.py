"""Renames of plugin interface 2, and how a class that was written for interface 1 is recognised."""

from __future__ import annotations

import inspect
from collections.abc import Mapping

RENAMED: Mapping[str, Mapping[str, str]] = {
    "method": {
        "training_step(batch, batch_index)": "step(batch)",
        "optimizer": "optimizer_defaults",
        "usual": "default_sections",
        "check": "check_range",
        "check_shown": "check_range",
    },
    "pairs": {"shared": "shared_groups"},
    "dataset": {"shared": "shared_groups"},
    "simulator": {"anomalous": "anomaly_options", "render(without=)": "render(omit=)"},
}
"""New names of attributes and parameters by kind."""

MIXINS = {"score": "Scorer", "reconstruct": "Reconstructor"}
"""Mixins that a method derives from, by what it implements."""

MOVED_NAMES: Mapping[str, str] = {
    "Chunk": "lenskit.evaluation.Lenses",
    "read_lenses": "lenskit.evaluation.StoredLenses",
    "simulated": "lenskit.evaluation.SimulatedLenses",
    "source_of": "lenskit.evaluation.training_set_of",
    "spelled_out": "lenskit.evaluation.absolute_spec",
    "stored": "lenskit.evaluation.StoredLenses",
}
"""Where a name of `lenskit.plugin` went that has another name now."""

OURS = ("lenskit", "torch", "pytorch_lightning", "lightning", "abc", "builtins")
"""Packages whose classes are not looked at."""


def old_names(kind: str, loaded: type) -> list[str]:
    """Return the changes that a class needs, such as `usual to default_sections`.

    Args:
        kind: The kind of the component.
        loaded: Its class.
    """
    own = [base for base in loaded.__mro__ if base.__module__.partition(".")[0] not in OURS]
    renames = [f"{old} to {new}" for old, new in RENAMED.get(kind, {}).items() if any(_has(base, old) for base in own)]
    there = {base.__name__ for base in loaded.__mro__}
    return renames + [
        f"{name} by deriving from {mixin}"
        for name, mixin in (MIXINS.items() if kind == "method" else ())
        if mixin not in there and any(name in vars(base) for base in own)
    ]


def _has(base: type, old: str) -> bool:
    name, _, parameter = old.partition("(")
    if name not in vars(base):
        return False
    if not parameter.endswith("=)"):
        return True
    return parameter.removesuffix("=)") in inspect.signature(vars(base)[name]).parameters
