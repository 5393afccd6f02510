"""Files of embeddings: which format, and that a file is whole whenever it is there."""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

from lenskit.embeddings.stored import FAULTS
from lenskit.embeddings.table import Table, arguments
from lenskit.errors import LenskitError, UsageError
from lenskit.words import reason

FORMATS = {
    ".zarr": "lenskit.embeddings.zarr_file",
    ".parquet": "lenskit.embeddings.parquet_file",
    ".npz": "lenskit.embeddings.npz_file",
}
"""Modules with `check()`, `holds(path)`, `write(path, parts, rows)` and `read(path)`, by the ending of a name."""


def may_be_embeddings(path: Path) -> bool:
    """Whether a path is named like a file of embeddings."""
    return path.suffix in (*FORMATS, ".npy")


def is_embeddings(path: Path) -> bool:
    """Whether a path looks like a file of embeddings; cheap."""
    if path.suffix == ".zarr":
        return bool(_format(path).holds(path))
    return path.suffix in (*FORMATS, ".npy") and path.is_file()


def check(path: Path) -> None:
    """Raises if no embeddings can be written there; see `Embeddings.check_path`."""
    module = _format(path)
    module.check()
    if path.exists() and not module.holds(path):
        raise UsageError(f"{path} exists and holds no embeddings: choose another file")


def write(path: Path, parts: Iterator[Table], rows: int) -> None:
    """Writes a file beside, and puts it in place when it is whole; see `Embeddings.write`.

    Args:
        path: The file.
        parts: Its rows.
        rows: How many there will be.
    """
    check(path)
    # What a process that was killed has left there goes, too.
    scratch = path.with_name(f".{path.name}.part")
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    try:
        new = scratch / path.name
        _format(path).write(new, _counted(parts, rows), rows)
        if path.is_dir():
            path.rename(scratch / "old")
        new.replace(path)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def read(path: Path) -> dict[str, Any]:
    """Opens a file, and returns the arguments of its `Embeddings`; see `Embeddings.load`."""
    if not path.exists():
        raise UsageError(f"there are no embeddings at {path}")
    module = import_module("lenskit.embeddings.npz_file") if path.suffix == ".npy" else _format(path)
    try:
        return arguments(module.read(path), path)
    except LenskitError:
        raise
    except (AttributeError, *FAULTS, EOFError, zipfile.BadZipFile) as error:
        raise LenskitError(f"{path} holds no embeddings, or is damaged: {reason(error)}") from None


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
    return import_module(FORMATS[path.suffix])
