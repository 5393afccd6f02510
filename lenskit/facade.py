"""Names of a facade, loaded when they are first asked for."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from lenskit.interface import MOVED_NAMES

FACADES = ("lenskit.plugin", "lenskit.evaluation", "lenskit.toolbox")
"""The facades."""


def modules_of(names: Mapping[str, str]) -> dict[str, str]:
    """Return the module of each name.

    Args:
        names: Names, separated by spaces, by their module.
    """
    return {name: module for module, some in names.items() for name in some.split()}


def loaded(name: str, facade: str, modules: Mapping[str, str]) -> Any:
    """Return what a facade offers by a name.

    Raises:
        ImportError: Another facade has the name; it says which.
        AttributeError: No facade has it.
    """
    if name in modules:
        return getattr(import_module(modules[name]), name)
    if not name.startswith("_"):
        if name in MOVED_NAMES:
            raise ImportError(f"{name} is no longer in {facade}: use {MOVED_NAMES[name]} instead", name=name)
        for other in FACADES:
            if other != facade and name in import_module(other).__all__:
                raise ImportError(f"{name} is in {other}, not in {facade}: import it from there", name=name)
    raise AttributeError(f"module {facade} has no attribute {name!r}")
