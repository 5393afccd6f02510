"""Layers of a configuration: recipes, files, flags and assignments.

A layer holds options by section, and need not be complete. Only its form is checked here. `config.py` merges layers and
validates the result.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from contextlib import suppress
from os import PathLike, fspath
from pathlib import Path
from typing import Any

from lenskit.errors import UsageError, meant
from lenskit.records import load_toml, parse_toml
from lenskit.registry import registry
from lenskit.words import listed, quoted

Layer = Mapping[str, Mapping[str, Any]]

COMPONENTS = {"simulator": "simulator", "data": "dataset", "pairs": "pairs", "method": "method", "backbone": "backbone"}
"""Sections that name a component, and the kind of each."""

SECTIONS = ("train", "input", "monitor", *COMPONENTS, "optimizer")

UNREADABLE = (ValueError, RecursionError)
"""Errors of tomllib for invalid TOML, invalid UTF-8, numbers with too many digits and lists nested too deeply."""


class FileLayer(dict[str, Any]):
    """Layer from a file.

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
        UsageError: The file is missing, or is not valid TOML.
    """
    return FileLayer(path, load_toml(path, error=UsageError))


def read_recipe(name: str) -> Layer:
    """Read a recipe by name, or by path if the name ends in `.toml`.

    See `read_toml`.
    """
    return read_toml("recipe", name)


def read_toml(kind: str, name: str) -> dict[str, Any]:
    """Read a TOML component by name, or by path if the name ends in `.toml`.

    Args:
        kind: `recipe` or `instrument`.
        name: Name or path.

    Raises:
        UsageError: The name is unknown, or the file is missing or not valid TOML.
        LenskitError: The file of a plugin cannot be read, or is not valid TOML.
    """
    if name.endswith(".toml"):
        return read_layer(Path(name))
    content: dict[str, Any] = parse_toml(registry().find(kind, name).load(), f"{kind} {name!r}")
    return content


def read_assignment(text: str) -> Layer:
    """Read `section.option=value` (`--set`).

    The value is read as TOML. If that fails, it is a plain string.

    Raises:
        UsageError: The text has a different form, or several lines.
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
    """Return the layer that sets one option.

    A text is read as TOML. If that fails, it is a plain string.

    Args:
        key: `section.option`; each further dot enters a table.
        value: The value, or its text.

    Raises:
        UsageError: The key has a different form, or the text has several lines.
    """
    if isinstance(value, str):
        if len((text := f"{key}={value}").splitlines()) > 1:
            raise UsageError(f"--set takes one option in one line, got {quoted(text)}: repeat --set for each option")
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
    """Return the error for a text that is not an assignment."""
    return UsageError(f"--set takes SECTION.OPTION=VALUE, such as train.epochs=10, got {quoted(text)}")


def merge(layers: Iterable[Layer]) -> Layer:
    """Merge layers, such as the flags of one command, into one layer.

    The layers must not name different components for a section.

    Raises:
        UsageError: A section is unknown, or is not a table.
    """
    merged: dict[str, dict[str, Any]] = {}
    for layer in layers:
        check_sections(layer)
        for section, values in layer.items():
            merged[section] = over(merged.get(section, {}), values)
    return merged


def over(below: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Override the options `below` by `values`.

    Nested tables, such as the options of a part of a pair strategy, are merged.
    """
    return {**below} | {
        name: over(below[name], value) if isinstance(value, Mapping) and isinstance(below.get(name), Mapping) else value
        for name, value in values.items()
    }


def check_sections(layer: Mapping[str, Any]) -> None:
    """Check that each section of a layer is known and is a table.

    Raises:
        UsageError: A section is unknown, or is not a table.
    """
    for section, values in layer.items():
        if section not in SECTIONS:
            hint = meant(section, SECTIONS, f"the sections are {listed(SECTIONS)}")
            raise UsageError(f"unknown section {quoted(section)}; {hint}")
        if not isinstance(values, Mapping):
            raise UsageError(f"section {section!r} must be a table of options, got {quoted(values)}")
