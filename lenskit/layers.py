"""Layers of a configuration: recipes, files, flags and assignments, as they are given.

A layer holds options by section. It need not be complete, and nothing in it is checked but its form: `config.py` puts
layers together and checks the outcome.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from contextlib import suppress
from os import PathLike, fspath
from pathlib import Path
from typing import Any

from lenskit.errors import UsageError, near
from lenskit.records import load_toml, parse_toml
from lenskit.registry import registry
from lenskit.words import listed, quoted

Layer = Mapping[str, Mapping[str, Any]]

COMPONENTS = {"simulator": "simulator", "data": "dataset", "pairs": "pairs", "method": "method", "backbone": "backbone"}
"""Sections that name a component, and its kind."""

SECTIONS = ("train", "input", "monitor", *COMPONENTS, "optimizer")

UNREADABLE = (ValueError, RecursionError)
"""Raised for a text that is no TOML, no UTF-8, has a number of too many digits, or lists in lists without end."""


class FileLayer(dict[str, Any]):
    """A layer that a file holds.

    Args:
        path: The file, for messages.
        values: The sections.
    """

    def __init__(self, path: Path, values: Mapping[str, Any]) -> None:
        super().__init__(values)
        self.path = path


def read_layer(path: Path) -> dict[str, Any]:
    """Read a TOML file.

    Raises:
        UsageError: There is no such file, or it is not TOML.
    """
    return FileLayer(path, load_toml(path, error=UsageError))


def read_recipe(name: str) -> Layer:
    """Read the recipe of that name, or the file of that path if the name ends in `.toml`; see `read_toml`."""
    return read_toml("recipe", name)


def read_toml(kind: str, name: str) -> dict[str, Any]:
    """Read a component that is a TOML file: the one of that name, or the file of that path if it ends in `.toml`.

    Args:
        kind: `recipe` or `instrument`.
        name: Name or path.

    Raises:
        UsageError: There is no such component or file, or the file is not TOML.
        LenskitError: A plugin's file cannot be read, or is not TOML.
    """
    if name.endswith(".toml"):
        return read_layer(Path(name))
    content: dict[str, Any] = parse_toml(registry().find(kind, name).load(), f"{kind} {name!r}")
    return content


def read_assignment(text: str) -> Layer:
    """Read `section.option=value` (`--set`); the value is TOML, or else a plain string.

    Raises:
        UsageError: The text has another form, or several lines.
    """
    key, value = split_assignment(text)
    return assignment(key, value)


def split_assignment(text: str) -> tuple[str, str]:
    """Split `section.option=value` at the first equals sign.

    Raises:
        UsageError: There is no equals sign.
    """
    key, equals, value = text.partition("=")
    if not equals:
        raise not_assigned(text)
    return key, value


def assignment(key: str, value: Any) -> Layer:
    """Make the layer that sets one option; a text is read as TOML, or else is a plain string.

    Args:
        key: `section.option`; more dots lead into tables.
        value: The value, or its text.

    Raises:
        UsageError: The key has another form, or the text several lines.
    """
    if isinstance(value, str):
        if len((text := f"{key}={value}").splitlines()) > 1:
            raise UsageError(f"--set takes one option in one line, got {quoted(text)}: say --set for each")
        value = value.strip()
        with suppress(*UNREADABLE):  # raised for a plain string
            value = tomllib.loads(f"value = {value}")["value"]
    elif isinstance(value, PathLike):
        value = fspath(value)
    section, _, option = key.strip().partition(".")
    if not (section and option):
        raise not_assigned(key)
    name, *inner = option.split(".")
    for part in reversed(inner):
        value = {part: value}
    return {section: {name: value}}


def not_assigned(text: str) -> UsageError:
    """Return the error of a text that is no assignment."""
    return UsageError(f"--set takes SECTION.OPTION=VALUE, such as train.epochs=10, got {quoted(text)}")


def merge(layers: Iterable[Layer]) -> Layer:
    """Put layers that name no component twice, such as the flags of one command, into one.

    Raises:
        UsageError: A section is unknown or no table.
    """
    merged: dict[str, dict[str, Any]] = {}
    for layer in layers:
        check_sections(layer)
        for section, values in layer.items():
            merged[section] = over(merged.get(section, {}), values)
    return merged


def over(below: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Put options over others; a table, such as the options of a part of pairs, over the table below."""
    return {**below} | {
        name: over(below[name], value) if isinstance(value, Mapping) and isinstance(below.get(name), Mapping) else value
        for name, value in values.items()
    }


def check_sections(layer: Mapping[str, Any]) -> None:
    """Check that a layer holds tables of known names.

    Raises:
        UsageError: One is unknown or no table.
    """
    for section, values in layer.items():
        if section not in SECTIONS:
            there = listed(SECTIONS)
            raise UsageError(f"there is no section {quoted(section)}{near(section, SECTIONS)}; there are {there}")
        if not isinstance(values, Mapping):
            raise UsageError(f"section {section!r} holds options, got {quoted(values)}")
