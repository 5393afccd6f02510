"""What a plugin says of each thing it brings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

INTERFACE = 2
"""Version of the plugin interface. It is raised when plugins written for the old one would break."""

KINDS = {
    "simulator": "simulators",
    "dataset": "datasets",
    "pairs": "pairs",
    "method": "methods",
    "backbone": "backbones",
    "encoder": "encoders",
    "evaluation": "evaluations",
    "command": "commands",
    "format": "formats",
    "instrument": "instruments",
    "recipe": "recipes",
}
"""The kinds of component, and the plural by which hooks and `lenskit list` name them."""

FILES = ("instrument", "recipe")
"""Kinds that are TOML files. Encoders are folders, commands are `click.Command`; all other kinds are classes."""


@dataclass(frozen=True, slots=True)
class Component:
    """A named component and where to find it.

    Args:
        name: What a user types, such as `simsiam`.
        target: Import string `package.module:Class`, imported only when the component is used. Of a command it is that
            of a `click.Command`. Of a kind that is a TOML file, an instrument or a recipe, it is
            `package:path/of/file.toml`. Of an encoder it is `package:path/of/folder`, or the address of a folder:
            `hf://OWNER/REPO[@REVISION]/PATH` or `https://...`.
        summary: One line for `lenskit list`.
        argument: Name of the option that the part behind a colon sets, for components that stand for many
            (`timm:NAME` sets the option `model` of `timm`). Of an encoder it is an option of its backbone.
        interface: Version of the plugin interface that the component was written for.
        digests: Of an encoder with an address, the SHA-256 digest of each of its files by name.
    """

    name: str
    target: str
    summary: str
    argument: str | None = None
    interface: int = INTERFACE
    digests: Mapping[str, str] = field(default_factory=dict, hash=False)
