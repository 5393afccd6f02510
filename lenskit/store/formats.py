"""Formats of stores by name, and the format that a path means."""

from __future__ import annotations

import logging
import os
from functools import lru_cache
from pathlib import Path

from lenskit.errors import LenskitError, UsageError
from lenskit.registry import Record, Registry, registry
from lenskit.store.format import Format
from lenskit.words import listed

log = logging.getLogger("lenskit")


def format_name(path: Path, name: str | None = None) -> str:
    """The format of that name, or of the store at a path, or the one that the ending of the path means.

    Raises:
        UsageError: No format has that name, or the path does not tell.
    """
    if name is not None:
        registry().find("format", name)
        return name
    real, formats = _real(path), _formats()
    for there, format in formats.items():
        if format(real).exists:
            return there
    meant = [each for each, format in formats.items() if path.suffix in format.endings]
    if len(meant) == 1:
        return meant[0]
    if not formats:
        raise UsageError(f"{path} cannot be written: no plugin brings a format; see `lenskit plugins`")
    if meant:
        raise UsageError(f"say the --format of {path}: {listed(meant)} have that ending")
    names, endings = listed(formats), listed(filter(None, (end for each in formats.values() for end in each.endings)))
    raise UsageError(f"say the --format of {path} ({names}), or end it with {endings}")


def open_format(name: str, path: Path) -> Format:
    """The store at a path, in the format of that name. It, its lock and its parts lie where links lead.

    Raises:
        UsageError: No format has that name, or the path has no name, as `.` and `/` have none.
        LenskitError: The format cannot be loaded.
    """
    store = _load(registry().find("format", name))(_real(path))
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
    formats = _formats().values()
    for each in dict.fromkeys([Path(os.path.abspath(path)), path.resolve()]):
        for above in each.parents:
            if above.name and any(format(above).exists for format in formats):
                raise UsageError(f"{path} is in the store {above}: choose another {flag}")


def _real(path: Path) -> Path:
    real = path.resolve()
    if not (path.name and real.name):
        raise UsageError(f"{path} is no name for a store: say, for example, --out pairs.zarr")
    return real


def _formats() -> dict[str, type[Format]]:
    """Classes by name. One that cannot be loaded costs a warning, and the others work."""
    return _loaded(registry())


@lru_cache(maxsize=1)
def _loaded(registry: Registry) -> dict[str, type[Format]]:
    records, found = registry.of_kind("format"), {}
    names = [record.name for record in records]
    for record in records:
        name = record.name if names.count(record.name) == 1 else f"{record.name}@{record.plugin.distribution}"
        try:
            found[name] = _load(record)
        except LenskitError as error:
            log.warning("%s", error)
    return found


def _load(record: Record) -> type[Format]:
    """The class of a format.

    Raises:
        LenskitError: It cannot be loaded, is no subclass of `Format`, or lacks methods.
    """
    loaded = record.load()
    where = f"format {record.name!r} of {record.plugin.distribution} {record.plugin.version}"
    if not issubclass(loaded, Format):
        raise LenskitError(f"{where} cannot be used: {record.component.target} is no Format")
    if lacking := loaded.__abstractmethods__:
        raise LenskitError(f"{where} cannot be used: {record.component.target} lacks {listed(sorted(lacking))}")
    return loaded
