"""Names of a facade, loaded when they are first asked for."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from lenskit.errors import near
from lenskit.interface import MOVED_NAMES

FACADES = ("lenskit.plugin", "lenskit.evaluation", "lenskit.toolbox")
"""The facades."""


def modules_in(file: str) -> dict[str, str]:
    """Return the module of each name that a facade imports for type checkers, so that the names are listed once.

    Args:
        file: The facade's `__file__`.
    """
    (block,) = [node for node in ast.parse(Path(file).read_text(encoding="utf-8")).body if isinstance(node, ast.If)]
    imports = [node for node in block.body if isinstance(node, ast.ImportFrom)]
    return {alias.name: str(node.module) for node in imports for alias in node.names}


def loaded(name: str, facade: str, modules: Mapping[str, str]) -> Any:
    """Return what a facade offers by a name.

    Raises:
        ImportError: Another facade has the name, or this one has one like it; it says which.
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
        if hint := near(name, modules):
            raise ImportError(f"{facade} has no {name!r}{hint}", name=name)
    raise AttributeError(f"module {facade} has no attribute {name!r}")
