"""Formats of stores by name, and the format that a path means."""

from __future__ import annotations

import os
from pathlib import Path

from lenskit.errors import UsageError
from lenskit.formats import find_format, formats_of, meant_by
from lenskit.store.format import Format


def format_name(path: Path, name: str | None = None) -> str:
    """The format of that name, or of the store at a path, or the one that the ending of the path means.

    Raises:
        UsageError: No format of stores has that name, or the path does not tell.
    """
    if name is not None:
        find_format(Format, name)
        return name
    real = _real(path)
    for there, format in formats_of(Format).items():
        if format(real).exists:
            return there
    return meant_by(Format, path, path.suffix)


def open_format(name: str, path: Path) -> Format:
    """The store at a path, in the format of that name. It, its lock and its parts lie where links lead.

    Raises:
        UsageError: No format of stores has that name, or the path has no name, as `.` and `/` have none.
        LenskitError: The format cannot be loaded.
    """
    store = find_format(Format, name)(_real(path))
    store.name = name
    return store


def check_in_no_store(path: Path, flag: str = "--out") -> None:
    """Check that a path is in no store, whatever its format.

    Args:
        path: Path where a run or a store will be made.
        flag: Flag that gave it.

    Raises:
        UsageError: It is in a store, which the message names.
    """
    formats = formats_of(Format).values()
    for absolute in dict.fromkeys([Path(os.path.abspath(path)), path.resolve()]):
        for above in absolute.parents:
            if above.name and any(format(above).exists for format in formats):
                raise UsageError(f"{path} is in the store {above}: choose another {flag}")


def _real(path: Path) -> Path:
    real = path.resolve()
    if not (path.name and real.name):
        raise UsageError(f"{path} is no name for a store: say, for example, --out pairs.zarr")
    return real
