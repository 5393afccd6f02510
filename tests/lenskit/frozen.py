"""Plugin interface as it is, to compare with the list that is frozen.

    python -m tests.lenskit.frozen > tests/lenskit/interface-2.json      # only with a new interface version

The list holds the names of the facades, the hooks with their arguments, and the public members of each base class
with their arguments. A name may be added if `ADDED` lists it; no name and no argument may disappear.
"""

from __future__ import annotations

import inspect
import json
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

from lenskit import hookspecs
from lenskit.component import INTERFACE, KINDS

FILE = Path(__file__).with_name(f"interface-{INTERFACE}.json")

FACADES = ("lenskit.plugin", "lenskit.evaluation", "lenskit.testing")
"""Modules whose names are frozen. Helpers in `lenskit.toolbox` may be deprecated as well, but are not frozen."""

PROCESSES = ("gather", "places")
"""Frozen names in `lenskit.toolbox`: methods need them on several processes."""

ADDED = frozenset({"lenskit.plugin.Evaluation.data_option", "lenskit.evaluation.OnLenses.data_option"})
"""Names and arguments that were added since, such as `lenskit.plugin.Simulator.new_hook(argument)`."""

FOREIGN = ("torch", "pytorch_lightning", "lightning", "pydantic", "builtins", "abc", "enum", "typing")
"""Packages whose inherited members are not ours."""


def interface() -> list[str]:
    """Return all names and arguments of the plugin interface, sorted."""
    found = set()
    for plural in KINDS.values():
        found |= _arguments(f"hook lenskit_{plural}", getattr(hookspecs, f"lenskit_{plural}"))
    for facade in FACADES:
        for name in import_module(facade).__all__:
            found |= _members(f"{facade}.{name}", getattr(import_module(facade), name))
    for name in PROCESSES:
        found |= _members(f"lenskit.toolbox.{name}", getattr(import_module("lenskit.toolbox"), name))
    return sorted(found)


def frozen() -> list[str]:
    """Return the frozen list."""
    names: list[str] = json.loads(FILE.read_text(encoding="utf-8"))
    return names


def _members(title: str, value: Any) -> set[str]:
    """Return the name of an object, its arguments, and members of a class."""
    if not isinstance(value, type):
        return _arguments(title, value)
    found = {title}
    for base in value.__mro__:
        if base.__module__.partition(".")[0] in FOREIGN:
            continue
        for name in {*vars(base), *inspect.get_annotations(base)}:
            if not name.startswith(("_", "test_")) or name in ("__init__", "__call__"):
                found |= _arguments(f"{title}.{name}", getattr(value, name, None))
    return found


def _arguments(title: str, value: Any) -> set[str]:
    """Return the name of an object, and an entry for each argument."""
    if not (inspect.isfunction(value) or inspect.ismethod(value)):
        return {title}
    return {title, *(f"{title}({name})" for name in inspect.signature(value).parameters if name != "self")}


if __name__ == "__main__":
    json.dump(interface(), sys.stdout, indent=1)
    sys.stdout.write("\n")
