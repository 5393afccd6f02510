"""Names of a facade, imported at their first use."""

from __future__ import annotations

import ast
import warnings
from collections.abc import Mapping
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

from lenskit.errors import near
from lenskit.interface import DEPRECATED, MOVED_NAMES

FACADES = ("lenskit.plugin", "lenskit.evaluation", "lenskit.toolbox")
"""Modules whose names are imported at their first use."""


def modules_in(file: str) -> dict[str, str]:
    """Return the module of each name that a facade imports under TYPE_CHECKING.

    Each name is thus listed only once.

    Args:
        file: The facade's `__file__`.
    """
    (block,) = [node for node in ast.parse(Path(file).read_text(encoding="utf-8")).body if isinstance(node, ast.If)]
    imports = [node for node in block.body if isinstance(node, ast.ImportFrom)]
    return {alias.name: str(node.module) for node in imports for alias in node.names}


def loaded(name: str, facade: str, modules: Mapping[str, str], deprecated: Mapping[str, str] = DEPRECATED) -> Any:
    """Return the object of a name in a facade; warn once if the name is deprecated.

    Args:
        name: The name.
        facade: Module of the facade.
        modules: Module of each name of the facade.
        deprecated: New place of each deprecated name, as in `lenskit.interface.DEPRECATED`.

    Raises:
        ImportError: Another facade has the name, or this facade has a similar one; the message gives it.
        AttributeError: No facade has the name.
    """
    if new := deprecated.get(f"{facade}.{name}"):
        _warn(name, facade, new)
        module, _, new_name = new.rpartition(".")
        return getattr(import_module(module), new_name)
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


@cache
def _warn(name: str, facade: str, new: str) -> None:
    """Warn of a deprecated name, once in a process."""
    warnings.warn(
        f"{facade}.{name} is deprecated, and the next minor release of lenskit removes it: use {new}",
        FutureWarning,
        stacklevel=4,
    )
