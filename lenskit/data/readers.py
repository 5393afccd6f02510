"""From what a user types behind `--data` to a dataset."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from lenskit.chosen import build
from lenskit.errors import UsageError
from lenskit.kinds.dataset import Dataset
from lenskit.layers import assignment, read_assignment
from lenskit.naming import parse
from lenskit.options import options_of
from lenskit.records import load_json
from lenskit.registry import registry
from lenskit.words import PATH, listed, quoted, shortened

MOST_INSIDE = 20
"""Files and folders at each of two levels that are looked at in a folder that no reader recognises."""


def find_reader(text: str) -> tuple[str, Path]:
    """Finds the reader of what `--data` takes: `READER:PATH`, or a path that one of the readers recognises (the first
    by name, of those that know a layout; then, of those that are `general`). Options behind a `?` are left out.

    Returns:
        The reader's name and the path.

    Raises:
        UsageError: if there is nothing there, or no reader recognises it.
    """
    records = registry().of_kind("dataset")
    text, _ = _split(text)
    name, colon, path = text.partition(":")
    if colon and any(record.name == parse(name).head for record in records):
        return name, Path(path)
    given = Path(text)
    if not text or not os.path.exists(given):  # which is false, too, of a name that is too long
        nowhere = f": the link leads to {os.readlink(given)}, which is not there" if os.path.islink(given) else ""
        raise UsageError(f"there are no data at {shortened(text, PATH)}{nowhere}")
    if reader := _recognised(given):
        return reader, given
    if (given / "zarr.json").is_file():
        load_json(given / "zarr.json", where=f"{given / 'zarr.json'} is damaged: it", error=UsageError)
    for inner in _inside(given):
        if reader := _recognised(inner):
            raise UsageError(f"no reader recognises {given}, but {reader} reads {inner}, which is in it: name that")
    forms = listed((f"{record.typed}: {record.load().accepts}" for record in records), 2, "`lenskit list datasets`")
    links = [path.name for path in sorted(given.glob("*")) if path.is_symlink() and not path.exists()]
    nowhere = f", where links lead nowhere (such as {links[0]})" if links else ""
    raise UsageError(
        f"no reader recognises {shortened(text, PATH)}{nowhere}; name one, as --data READER:PATH ({forms})"
    )


def _recognised(path: Path) -> str | None:
    """The reader that recognises a path, if any."""
    # Those that know a layout before those that take any file of a kind; by name otherwise.
    records = sorted(registry().of_kind("dataset"), key=lambda record: record.load().general)
    return next((record.recorded for record in records if record.load().recognises(path)), None)


def _inside(root: Path) -> list[Path]:
    """Some files and folders in a folder, and in its folders."""
    entries: list[Path] = []
    for pattern in ("*", "*/*") if root.is_dir() else ():
        paths = (path for path in sorted(root.glob(pattern)) if not path.name.startswith((".", "__")))
        entries += islice((path for path in paths if os.access(path, os.R_OK)), MOST_INSIDE)
    return entries


def _split(text: str) -> tuple[str, dict[str, Any]]:
    """The options behind the question mark of `[READER:]PATH?OPTION=VALUE&OPTION=VALUE`, and what stands before."""
    before, mark, behind = text.partition("?")
    if not mark or os.path.exists(text):
        return text, {}
    options: dict[str, Any] = {}
    for part in re.split(r'&(?=(?:[^"]*"[^"]*")*[^"]*$)', behind):  # not at an & in a quoted text
        name, equals, _ = part.partition("=")
        if not equals or not name.strip():
            raise UsageError(f"behind ? stand options of the reader, OPTION=VALUE joined by &, got {quoted(part)}")
        if name.strip() in ("name", "path"):
            raise UsageError(
                f"behind ? stand options of the reader, not its {name.strip()}: write [READER:]PATH before it"
            )
        options |= read_assignment(f"data.{part.strip()}")["data"]
    return before, options


def text_of(section: Mapping[str, Any]) -> str:
    """Return the section `data` of a configuration as `--data` takes it: `READER:PATH[?OPTION=VALUE&...]`.

    Options with their default value are left out.
    """
    defaults = {o.name: json.dumps(o.default, default=str) for o in options_of(_reader(section["name"]))}
    options = {key: value for key, value in section.items() if key not in ("name", "path")}
    options = {key: value for key, value in options.items() if json.dumps(value) != defaults.get(key)}
    behind = "&".join(f"{key}={_text(value)}" for key, value in options.items())
    return f"{section['name']}:{section['path']}{'?' if behind else ''}{behind}"


def _text(value: Any) -> str:
    """Return the text that reads back as a value."""
    plain = isinstance(value, str) and "&" not in value and assignment("data.x", value) == {"data": {"x": value}}
    return value if plain else json.dumps(value)


def _reader(name: str) -> type[Dataset]:
    loaded: type[Dataset] = registry().find("dataset", name).load()
    return loaded


def absolute_spec(text: str) -> str:
    """What `--data` says, as it may be said from any folder: `READER:/PATH`, with its options if it has any.

    Raises:
        UsageError: see `find_reader`.
    """
    name, path = find_reader(text)
    before, _ = _split(text)
    return f"{name}:{path.resolve()}{text.removeprefix(before)}"


def data_name(text: str) -> str:
    """Return the name of the file or folder that `--data` means, without its place on this machine.

    Raises:
        UsageError: see `find_reader`.
    """
    return Path(os.path.abspath(find_reader(text)[1])).name


def read_section(text: str) -> dict[str, Any]:
    """What `--data` says, as the section `data` of a configuration: the reader's name, the path, and options.

    Args:
        text: `[READER:]PATH[?OPTION=VALUE&...]`.

    Raises:
        UsageError: see `find_reader`.
    """
    name, path = find_reader(text)
    return {"name": name, "path": str(path.resolve())} | _split(text)[1]


def open_dataset(text: str, size: int | None = None, **options: Any) -> Dataset:
    """Opens the data that `text` names, see `find_reader`.

    Args:
        text: `READER:PATH` or a path, and options of the reader if need be: `[READER:]PATH?OPTION=VALUE&...`.
        size: Height and width in pixels that are wanted, for readers that crop (that have an option `size`).
        options: Other options of the reader.
    """
    name, path = find_reader(text)
    options |= _split(text)[1]
    reader = registry().find("dataset", name).load()
    if size is not None and "size" not in options and any(option.name == "size" for option in options_of(reader)):
        options["size"] = size
    return build("dataset", name, options, path)
