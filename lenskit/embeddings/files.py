"""Files of embeddings: which format, and that a file is whole whenever it is there."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from lenskit.embeddings import npz_file, parquet_file, zarr_file
from lenskit.embeddings.stored import FAULTS
from lenskit.embeddings.table import FORMAT, Table, arguments
from lenskit.errors import LenskitError, UsageError, too_many_files
from lenskit.ownership import leftovers, remove, scratch
from lenskit.words import listed, reason

FORMATS: dict[str, ModuleType] = {".zarr": zarr_file, ".parquet": parquet_file, ".npz": npz_file}
"""Modules with `check()`, `holds(path)`, `card(path)`, `strangers(path, table)`, `write(path, parts, rows)` and
`read(path)`, by the ending of a name."""


def may_be_embeddings(path: Path) -> bool:
    """Whether a path is named like a file of embeddings."""
    return path.suffix in (*FORMATS, ".npy")


def is_embeddings(path: Path) -> bool:
    """Whether a path looks like a file of embeddings; cheap."""
    if path.suffix == ".zarr":
        return bool(_format(path).holds(path))
    return path.suffix in (*FORMATS, ".npy") and path.is_file()


def check(path: Path, overwrite: bool = False) -> None:
    """Raises if no embeddings can be written there; see `Embeddings.check_path`."""
    module = _format(path)
    module.check()
    if not path.exists() and not path.is_symlink():
        return
    strangers = not_of_embeddings(path)
    if strangers:
        raise UsageError(f"{path} holds {listed(strangers, 3)}, which lenskit did not write: choose another file")
    if strangers is not None or (overwrite and not path.is_dir()):
        return
    if path.is_dir() or not module.holds(path):
        hint = "" if path.is_dir() else ", or use --overwrite"
        raise UsageError(f"{path} exists and holds no embeddings: choose another file{hint}")
    raise UsageError(f"{path} holds features that lenskit did not write: choose another file, or use --overwrite")


def not_of_embeddings(path: Path) -> list[str] | None:
    """Names of what is in a file of embeddings and lenskit did not write; None if lenskit did not write the file."""
    card = card_in(path)
    return list(_format(path).strangers(path, Table(card, {}))) if card else None


def card_in(path: Path) -> dict[str, Any]:
    """Return what a file of embeddings says of itself; nothing if lenskit did not write it, or if it is damaged."""
    if path.suffix not in FORMATS or path.is_symlink() or not _format(path).holds(path):
        return {}
    try:
        card = _format(path).card(path)
    except (*FAULTS, EOFError, zipfile.BadZipFile):
        return {}
    return card if isinstance(card, dict) and card.get("format") == FORMAT else {}


def write(path: Path, parts: Iterator[Table], rows: int, overwrite: bool = False) -> None:
    """Writes a file beside, and puts it in place when it is whole; see `Embeddings.write`.

    Args:
        path: The file.
        parts: Its rows.
        rows: How many there will be.
        overwrite: Whether a file that lenskit did not write is replaced.
    """
    check(path, overwrite)
    # What a process that was killed has left there goes, too.
    for left in leftovers(path, "part"):
        remove(left)
    beside = scratch(path, "part")
    beside.mkdir(parents=True)
    try:
        new = beside / path.name
        _format(path).write(new, _counted(parts, rows), rows)
        check(path, overwrite)  # writing takes long
        if path.is_dir():
            path.rename(beside / "old")
        try:
            new.replace(path)
        except OSError:
            if (beside / "old").exists():
                (beside / "old").rename(path)
            raise
    except OSError as error:
        if error.filename and beside not in Path(os.fsdecode(error.filename)).parents:
            raise  # of something else, such as an image that was to be read
        reason = os.strerror(error.errno) if error.errno else error
        raise LenskitError(f"{path} cannot be written: {reason}; what was there before is unharmed") from error
    finally:
        remove(beside)


def read(path: Path) -> dict[str, Any]:
    """Opens a file, and returns the arguments of its `Embeddings`; see `Embeddings.load`."""
    if not path.exists():
        raise UsageError(f"there are no embeddings at {path}")
    module = npz_file if path.suffix == ".npy" else _format(path)
    try:
        return arguments(module.read(path), path)
    except LenskitError:
        raise
    except (AttributeError, *FAULTS, EOFError, zipfile.BadZipFile) as error:
        said = f"{path} holds no embeddings, or is damaged: {reason(error)}"
        raise too_many_files(error) or LenskitError(said) from None


def _counted(parts: Iterator[Table], rows: int) -> Iterator[Table]:
    """The parts, after which there have been so many rows."""
    came = 0
    for part in parts:
        came += len(part)
        yield part
    if came != rows or not rows:
        raise LenskitError(f"{came} rows of embeddings came to be written, of {rows}")


def _format(path: Path) -> Any:
    if path.suffix not in FORMATS:
        raise UsageError(f"files of embeddings end with {', '.join(FORMATS)}, not as {path.name} does")
    return FORMATS[path.suffix]
