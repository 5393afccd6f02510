"""Pages of the public names in Python, with directives of mkdocstrings."""

from __future__ import annotations

import ast
import inspect
from importlib import import_module
from itertools import pairwise
from pathlib import Path

from tests.docs.reference.markdown import DOCS, head, table

FOLDER = DOCS / "reference"

MODULES = {
    "lenskit": ("python.md", "lenskit"),
    "lenskit.plugin": ("python-plugin.md", "lenskit.plugin"),
    "lenskit.evaluation": ("python-evaluation.md", "lenskit.evaluation"),
    "lenskit.toolbox": ("python-toolbox.md", "lenskit.toolbox"),
    "lenskit.testing": ("python-testing.md", "lenskit.testing"),
}
"""File and title of the page of each public module."""

PURPOSES = {
    "lenskit": "Functions and classes for scripts and notebooks. [Python](../how-to/python.md) shows how to use them.",
    "lenskit.plugin": "Base classes and helpers that [components of plugins](../plugins/index.md) need.",
    "lenskit.evaluation": "Runs, lens sets, splits, features and results for [evaluations](../plugins/evaluation.md).",
    "lenskit.toolbox": "Helpers for components: files, images, stores, processes and messages. They are less stable "
    "than the other modules, see [the policy](../plugins/interface.md).",
    "lenskit.testing": "Tests for components of plugins. [The list of tests](../plugins/contracts.md) shows a fault "
    "that each detects.",
}
"""First paragraph of the page of each public module."""

SITE = "The site (`make docs`) shows signatures and docstrings below the table."


def pages() -> dict[Path, str]:
    """Return the pages of the public modules."""
    first: dict[int, str] = {}
    return {FOLDER / file: _page(module, title, first) for module, (file, title) in MODULES.items()}


def _page(module: str, title: str, first: dict[int, str]) -> str:
    """Return the page of a module.

    Args:
        module: The module.
        title: Title of the page.
        first: Full name of each object that an earlier page has, by `id`. It is extended.
    """
    parts = [head(title, f"{PURPOSES[module]} {SITE}")]
    if module == "lenskit":
        others = [[f"[`{name}`]({MODULES[name][0]})", text] for name, text in PURPOSES.items() if name != module]
        parts.append(f"Modules for plugins:\n\n{table(['module', 'purpose'], others)}\n")
    rows, directives = [], []
    for name in names(module):
        place = f"{module}.{name}"
        known = first.setdefault(id(getattr(import_module(module), name)), place)
        rows.append([f"[`{name}`][{known}]", summary(module, name)])
        directives += [f"::: {place}\n"] if known == place else []
    parts.append(table(["name", "purpose"], rows) + "\n")
    return "\n".join(parts + directives)


def names(module: str) -> list[str]:
    """Return the public names of a module."""
    found: list[str] = import_module(module).__all__
    return found


def summary(module: str, name: str) -> str:
    """Return the first line of the docstring of a public name; empty if it has none."""
    value = getattr(import_module(module), name)
    if inspect.isclass(value) or inspect.isroutine(value):
        text = value.__doc__ or ""
    else:
        text = _constant(origins(module)[name], name)
    return inspect.cleandoc(text).partition("\n")[0]


def origins(module: str) -> dict[str, str]:
    """Return the module from which a public module imports each name."""
    imports = [node for node in ast.walk(_tree(module)) if isinstance(node, ast.ImportFrom)]
    return {alias.asname or alias.name: str(node.module) for node in imports for alias in node.names}


def _constant(module: str, name: str) -> str:
    """Return the text that follows the assignment of a constant."""
    body = _tree(module).body
    for node, after in pairwise(body):
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        named = any(isinstance(target, ast.Name) and target.id == name for target in targets)
        if named and isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant):
            return str(after.value.value)
    return ""


def _tree(module: str) -> ast.Module:
    return ast.parse(Path(str(import_module(module).__file__)).read_text(encoding="utf-8"))
