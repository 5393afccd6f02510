"""Page of the configuration: its sections, and the distributions of priors."""

from __future__ import annotations

import inspect
from dataclasses import fields

from lenskit.config import SETTINGS
from lenskit.distributions import Choice, Distribution
from lenskit.layers import SECTIONS
from lenskit.options import description
from lenskit.settings import OptimizerSettings
from tests.docs.reference.components import options
from tests.docs.reference.markdown import DOCS, code, head, prose, table

PAGE = DOCS / "reference" / "configuration.md"

TEXT = """The sections of a configuration, in recipes, in `--config FILE` and in the `run.toml` of a run. `--set
SECTION.OPTION=VALUE` sets one option. `lenskit train --print-config` prints the resolved configuration.

A higher layer overrides a lower one. From the lowest: defaults of the method, the recipe `default`, the recipe of
`--recipe`, the file of `--config`, the flags. The default *nothing* means that the option is not set."""

SECTION_CLASSES = {**SETTINGS, "optimizer": OptimizerSettings}
"""Class of each section that is not a component."""


def page() -> str:
    """Return the page of the configuration."""
    parts = [head("Configuration", TEXT)]
    rows = [[f"[`[{name}]`]({_place(name)})", _content(name)] for name in SECTIONS]
    parts.append(table(["section", "content"], rows) + "\n")
    for name, component in SECTION_CLASSES.items():
        parts.append(f"## {name}\n\n{prose(description(component), PAGE)}\n\n{options(component, PAGE)}\n")
    parts.append(_distributions())
    return "\n".join(parts)


def _place(section: str) -> str:
    if section in SECTION_CLASSES:
        return f"#{section}"
    return "datasets.md" if section == "data" else f"{section.rstrip('s')}s.md"


def _content(section: str) -> str:
    if section in SECTION_CLASSES:
        return description(SECTION_CLASSES[section]).partition("\n")[0]
    if section == "data":
        return "Path of stored images, name of their reader, and its options."
    return f"Name and options of the {'pair strategy' if section == 'pairs' else section}."


def _distributions() -> str:
    rows = []
    for kind in Distribution.__subclasses__():
        if kind.__module__ != Distribution.__module__:
            continue
        names = "a, b, ..." if kind is Choice else ", ".join(field.name for field in fields(kind))  # type: ignore[arg-type]
        form = "a number" if kind.name == "constant" else code(f"{kind.name}({names})")
        rows.append([form, inspect.getdoc(kind) or ""])
    text = (
        'Priors of simulators are texts or numbers, such as `--set simulator.theta_E="uniform(0.5, 2.5)"`. Arguments '
        "are finite numbers."
    )
    return f"## distributions\n\n{text}\n\n{table(['form', 'meaning'], rows)}\n"
