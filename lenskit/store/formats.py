"""Look-up of store formats by name or path."""

from __future__ import annotations

import os
from pathlib import Path

from lenskit.errors import UsageError
from lenskit.formats import find_format, formats_of, meant_by
from lenskit.store.format import Format


def format_name(path: Path, name: str | None = None) -> str:
    """Return the name of the format of a store.

    It is `name`, or else the format of the store at the path, or else the format of the path's suffix.

    Raises:
        UsageError: No store format has that name, or the suffix belongs to no format.
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
    """Return the store at a path, in the format of that name.

    Links are resolved: the store, its lock file and its temporary files are at the resolved path.

    Raises:
        UsageError: No store format has that name, or the path has no name, such as `.` and `/`.
        LenskitError: The format cannot be loaded.
    """
    store = find_format(Format, name)(_real(path))
    store.name = name
    return store


def check_in_no_store(path: Path, flag: str = "--out") -> None:
    """Check that a path is not inside a store of any format.

    Args:
        path: Path of a new run or store.
        flag: Command-line flag of the path, for the message.

    Raises:
        UsageError: The path is inside a store. The message names the store.
    """
    formats = formats_of(Format).values()
    for absolute in dict.fromkeys([Path(os.path.abspath(path)), path.resolve()]):
        for above in absolute.parents:
            if above.name and any(format(above).exists for format in formats):
                raise UsageError(f"{path} is in the store {above}: choose another {flag}")


def _real(path: Path) -> Path:
    real = path.resolve()
    if not (path.name and real.name):
        raise UsageError(f"{path} is not a name for a store: use, for example, --out pairs.zarr")
    return real
