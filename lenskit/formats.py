"""Lookup of formats by name, by base class, and by the ending of a path."""

from __future__ import annotations

import logging
from functools import lru_cache
from pathlib import Path
from typing import TypeVar

from lenskit.errors import LenskitError, UsageError, near
from lenskit.found import Record
from lenskit.kinds.format import FileFormat
from lenskit.registry import Registry, registry
from lenskit.words import listed

log = logging.getLogger("lenskit")

F = TypeVar("F", bound=FileFormat)


def formats_of(base: type[F]) -> dict[str, type[F]]:
    """Return the formats that are subclasses of a base, by name.

    A format that cannot be loaded gives a warning and is left out.
    """
    return {name: each for name, each in _loaded(registry()).items() if issubclass(each, base)}


def find_format(base: type[F], name: str) -> type[F]:
    """Return a format by name.

    Raises:
        UsageError: The name is unknown, or the format is not a subclass of the base.
        LenskitError: The format cannot be loaded.
    """
    component = _load(registry().find("format", name))
    if not issubclass(component, base):
        raise UsageError(f"format {name!r} does not hold {base.holds}: use {listed(formats_of(base))}")
    return component


def meant_by(base: type[F], path: Path, ending: str) -> str:
    """Return the name of the format that the ending of a path selects.

    Args:
        base: Base class of the format.
        path: The path, for messages.
        ending: Its ending, such as `.h5`.

    Raises:
        UsageError: No format has that ending, or several have it.
    """
    formats = formats_of(base)
    meant = [name for name, each in formats.items() if ending in each.endings]
    if len(meant) == 1:
        return meant[0]
    if not formats:
        raise UsageError(f"{path} cannot be written: no plugin has a format for {base.holds}; see `lenskit plugins`")
    if meant:
        raise UsageError(f"give the --format of {path}: {listed(meant)} have that ending")
    endings = [end for each in formats.values() for end in each.endings if end]
    hint = near(ending, endings)
    raise UsageError(f"give the --format of {path} ({listed(formats)}), or use an ending of {listed(endings)}{hint}")


@lru_cache(maxsize=1)
def _loaded(registry: Registry) -> dict[str, type[FileFormat]]:
    formats = {}
    for record in registry.of_kind("format"):
        try:
            formats[record.typed] = _load(record)
        except LenskitError as error:
            log.warning("%s", error)
    return formats


def _load(record: Record) -> type[FileFormat]:
    """Load the class of a format.

    Raises:
        LenskitError: The class cannot be loaded, is no format, or lacks methods.
    """
    loaded: type[FileFormat] = record.load()
    if lacking := loaded.__abstractmethods__:
        raise LenskitError(f"{record.origin} cannot be used: {record.component.target} lacks {listed(sorted(lacking))}")
    return loaded
