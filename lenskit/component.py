"""What a plugin says of each thing it brings."""

from __future__ import annotations

from dataclasses import dataclass

INTERFACE = 1
"""Version of the plugin interface. It is raised when plugins written for the old one would break."""

KINDS = {
    "simulator": "simulators",
    "dataset": "datasets",
    "pairs": "pairs",
    "method": "methods",
    "backbone": "backbones",
    "evaluation": "evaluations",
    "instrument": "instruments",
    "recipe": "recipes",
}
"""The kinds of component, and the plural by which hooks and `lenskit list` name them."""

FILES = ("instrument", "recipe")
"""Kinds that are TOML files; all others are classes."""


@dataclass(frozen=True, slots=True)
class Component:
    """A named component and where to find it.

    Args:
        name: What a user types, such as `simsiam`.
        target: Import string `package.module:Class`, imported only when the component is used. Of a
            kind that is a TOML file, an instrument or a recipe, it is `package:path/of/file.toml`.
        summary: One line for `lenskit list`.
        argument: Name of the option that the part behind a colon sets, for components that stand for many
            (`timm:NAME` sets the option `model` of `timm`).
        interface: Version of the plugin interface that the component was written for.
    """

    name: str
    target: str
    summary: str
    argument: str | None = None
    interface: int = INTERFACE
