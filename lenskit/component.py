"""Record by which a plugin announces a component."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

INTERFACE = 2
"""Version of the plugin interface. It increases when plugins for the previous version would break."""

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
"""Kinds of components, and their plurals in the names of hooks and in `lenskit list`."""

FILES = ("instrument", "recipe")
"""Kinds that are TOML files. Encoders are folders, commands are `click.Command`; all other kinds are classes."""


def in_words(kind: str) -> str:
    """Return the name of a kind for messages: `pair strategy` for `pairs`."""
    return {"pairs": "pair strategy", "dataset": "reader"}.get(kind, kind)


@dataclass(frozen=True, slots=True)
class Component:
    """Named component, and the place of its implementation.

    Args:
        name: Name that a user types, such as `simsiam`.
        target: Import string `package.module:Class`, which is imported only when the component is used. For a command
            it names a `click.Command`. For an instrument or a recipe it is `package:path/of/file.toml`. For an encoder
            it is `package:path/of/folder`, or the address of a folder: `hf://OWNER/REPO[@REVISION]/PATH` or
            `https://...`.
        summary: One line for `lenskit list`.
        argument: Name of the option that the part after a colon sets, for a component that stands for many (`timm:NAME`
            sets the option `model` of `timm`). For an encoder it is an option of the backbone.
        interface: Version of the plugin interface that the component was written for.
        digests: For an encoder with an address, the SHA-256 digest of each file by name.
    """

    name: str
    target: str
    summary: str
    argument: str | None = None
    interface: int = INTERFACE
    digests: Mapping[str, str] = field(default_factory=dict, hash=False)
