"""Find the reader of a `--data` argument, and open the dataset."""

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
"""Maximum number of entries that are examined at each of two levels of a folder that no reader recognises."""


def find_reader(text: str) -> tuple[str, Path]:
    """Return the reader's name and the path in an argument of `--data`.

    Args:
        text: `READER:PATH`, or a path that a reader recognises. Readers of one layout are tried before `general`
            readers, in the order of their names. Options after a `?` are ignored.

    Returns:
        The reader's name and the path.

    Raises:
        UsageError: The path does not exist, or no reader recognises it.
    """
    records = registry().of_kind("dataset")
    text, _ = _split(text)
    name, colon, path = text.partition(":")
    if colon and any(record.name == parse(name).head for record in records):
        return name, Path(path)
    given = Path(text)
    if not text or not os.path.exists(given):  # `exists` is also False if the name is too long
        nowhere = f": it is a link to {os.readlink(given)}, which does not exist" if os.path.islink(given) else ""
        raise UsageError(f"there are no data at {shortened(text, PATH)}{nowhere}")
    if reader := _recognised(given):
        return reader, given
    if (given / "zarr.json").is_file():
        load_json(given / "zarr.json", where=f"{given / 'zarr.json'} is damaged: it", error=UsageError)
    for inner in _inside(given):
        if reader := _recognised(inner):
            raise UsageError(f"no reader recognises {given}, but {reader} reads {inner} in it: use that path")
    forms = listed((f"{record.typed}: {record.load().accepts}" for record in records), 2, "`lenskit list datasets`")
    links = [path.name for path in sorted(given.glob("*")) if path.is_symlink() and not path.exists()]
    nowhere = f", which has broken links (such as {links[0]})" if links else ""
    raise UsageError(
        f"no reader recognises {shortened(text, PATH)}{nowhere}; name the reader: --data READER:PATH ({forms})"
    )


def _recognised(path: Path) -> str | None:
    """Return the name of the reader that recognises a path; None if there is none."""
    # Try readers of one layout before general readers; otherwise in the order of names.
    records = sorted(registry().of_kind("dataset"), key=lambda record: record.load().general)
    return next((record.recorded for record in records if record.load().recognises(path)), None)


def _inside(root: Path) -> list[Path]:
    """Return the first entries of a folder and of its subfolders."""
    entries: list[Path] = []
    for pattern in ("*", "*/*") if root.is_dir() else ():
        paths = (path for path in sorted(root.glob(pattern)) if not path.name.startswith((".", "__")))
        entries += islice((path for path in paths if os.access(path, os.R_OK)), MOST_INSIDE)
    return entries


def _split(text: str) -> tuple[str, dict[str, Any]]:
    """Split `[READER:]PATH?OPTION=VALUE&...` into `[READER:]PATH` and the options."""
    before, mark, behind = text.partition("?")
    if not mark or os.path.exists(text):
        return text, {}
    options: dict[str, Any] = {}
    for part in re.split(r'&(?=(?:[^"]*"[^"]*")*[^"]*$)', behind):  # not at an & in a quoted text
        name, equals, _ = part.partition("=")
        if not equals or not name.strip():
            raise UsageError(f"options of the reader after ? must be OPTION=VALUE, joined by &; got {quoted(part)}")
        if name.strip() in ("name", "path"):
            raise UsageError(f"the {name.strip()} cannot follow ?: type [READER:]PATH before the ?")
        options |= read_assignment(f"data.{part.strip()}")["data"]
    return before, options


def text_of(section: Mapping[str, Any]) -> str:
    """Return the section `data` of a configuration as an argument of `--data`.

    The form is `READER:PATH[?OPTION=VALUE&...]`. Options with their default value are left out.
    """
    defaults = {o.name: json.dumps(o.default, default=str) for o in options_of(_reader(section["name"]))}
    options = {key: value for key, value in section.items() if key not in ("name", "path")}
    options = {key: value for key, value in options.items() if json.dumps(value) != defaults.get(key)}
    behind = "&".join(f"{key}={_text(value)}" for key, value in options.items())
    return f"{section['name']}:{section['path']}{'?' if behind else ''}{behind}"


def _text(value: Any) -> str:
    """Return the text of a value that `_split` reads as the same value."""
    plain = isinstance(value, str) and "&" not in value and assignment("data.x", value) == {"data": {"x": value}}
    return value if plain else json.dumps(value)


def _reader(name: str) -> type[Dataset]:
    loaded: type[Dataset] = registry().find("dataset", name).load()
    return loaded


def absolute_spec(text: str) -> str:
    """Return an argument of `--data` with the reader and an absolute path.

    The form is `READER:/PATH`, followed by the options if there are any.

    Raises:
        UsageError: See `find_reader`.
    """
    name, path = find_reader(text)
    before, _ = _split(text)
    return f"{name}:{path.resolve()}{text.removeprefix(before)}"


def data_name(text: str) -> str:
    """Return the name of the file or folder of `--data`, without its parent folders.

    Raises:
        UsageError: See `find_reader`.
    """
    return Path(os.path.abspath(find_reader(text)[1])).name


def read_section(text: str) -> dict[str, Any]:
    """Return the argument of `--data` as the section `data` of a configuration.

    The section has the reader's name, the path, and the options.

    Args:
        text: `[READER:]PATH[?OPTION=VALUE&...]`.

    Raises:
        UsageError: See `find_reader`.
    """
    name, path = find_reader(text)
    return {"name": name, "path": str(path.resolve())} | _split(text)[1]


AUTO = "auto"
"""Value of the option `resample` of readers: the pixel size of the encoder."""


def open_dataset(text: str, size: int | None = None, encoder_scale: float | None = None, **options: Any) -> Dataset:
    """Open the dataset of an argument of `--data`.

    Args:
        text: `[READER:]PATH[?OPTION=VALUE&...]`, see `find_reader`.
        size: Height and width of the images in pixels, for readers that crop images (readers with an option `size`).
            An option in `text` overrides it.
        encoder_scale: Size of a pixel in arcsec that `resample=auto` stands for.
        options: Further options of the reader. Options in `text` override them.

    Raises:
        UsageError: No reader has this name or reads this path, an option is wrong, or `resample=auto` is set without a
            known pixel size.
    """
    name, path = find_reader(text)
    options |= _split(text)[1]
    if options.get("resample") == AUTO:
        if encoder_scale is None:
            raise UsageError(
                "resample=auto takes the pixel size of an encoder, which is unknown here: give it, as resample=ARCSEC"
            )
        options["resample"] = encoder_scale
    reader = registry().find("dataset", name).load()
    if size is not None and "size" not in options and any(option.name == "size" for option in options_of(reader)):
        options["size"] = size
    return build("dataset", name, options, path)
