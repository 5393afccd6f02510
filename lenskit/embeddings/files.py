"""Files of embeddings: the format of each, and that a file is whole whenever it is there."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lenskit.embeddings.feature_format import FeatureFormat
from lenskit.embeddings.stored import FAULTS
from lenskit.embeddings.table import FORMAT, FeatureTable, arguments, card_of
from lenskit.errors import LenskitError, UsageError, near, too_many_files
from lenskit.formats import formats_of
from lenskit.ownership import leftovers, remove, scratch
from lenskit.words import listed, reason


def may_be_embeddings(path: Path) -> bool:
    """Whether a path is named like a file of embeddings."""
    return bool(_meant(path, _formats()))


def is_embeddings(path: Path) -> bool:
    """Whether a path looks like a file of embeddings; cheap."""
    return may_be_embeddings(path) and (_format(path).has_features() if path.is_dir() else path.is_file())


def check(path: Path, overwrite: bool = False) -> None:
    """Raises if no embeddings can be written there; see `Embeddings.check_path`."""
    file = _format(path, writes=True)
    file.check_installed()
    if not path.exists() and not path.is_symlink():
        return
    strangers = not_of_embeddings(path)
    if strangers:
        raise UsageError(f"{path} holds {listed(strangers, 3)}, which lenskit did not write: choose another file")
    if strangers is not None or (overwrite and not path.is_dir()):
        return
    if path.is_dir() or not file.has_features():
        hint = "" if path.is_dir() else ", or use --overwrite"
        raise UsageError(f"{path} exists and holds no embeddings: choose another file{hint}")
    raise UsageError(f"{path} holds features that lenskit did not write: choose another file, or use --overwrite")


def not_of_embeddings(path: Path) -> list[str] | None:
    """Names of what is in a file of embeddings and lenskit did not write; None if lenskit did not write the file."""
    card = card_in(path)
    return _format(path).feature_strangers(card) if card else None


def card_in(path: Path) -> dict[str, Any]:
    """Return what a file of embeddings says of itself; nothing if lenskit did not write it, or if it is damaged."""
    if not may_be_embeddings(path) or path.is_symlink() or not (file := _format(path)).has_features():
        return {}
    try:
        card = file.feature_card()
    except (LenskitError, *FAULTS, EOFError, zipfile.BadZipFile):
        return {}
    return card if isinstance(card, dict) and card.get("format") == FORMAT else {}


def write(path: Path, parts: Iterator[FeatureTable], rows: int, overwrite: bool = False) -> None:
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
        type(_format(path, writes=True))(new).write_features(_counted(parts, rows), rows)
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
    file = _format(path)
    file.check_installed()
    try:
        card = card_of(file.feature_card(), str(path))
        return arguments(FeatureTable(card, file.read_features(card)), path)
    except LenskitError:
        raise
    except (AttributeError, *FAULTS, EOFError, zipfile.BadZipFile) as error:
        said = f"{path} holds no embeddings, or is damaged: {reason(error)}"
        raise too_many_files(error) or LenskitError(said) from None


def _counted(parts: Iterator[FeatureTable], rows: int) -> Iterator[FeatureTable]:
    """The parts, after which there have been so many rows."""
    came = 0
    for part in parts:
        came += len(part)
        yield part
    if came != rows or not rows:
        raise LenskitError(f"{came} rows of embeddings came to be written, of {rows}")


def _formats(writes: bool = False) -> dict[str, type[FeatureFormat]]:
    """The formats of features by name; with `writes`, without those that are only read."""
    formats = formats_of(FeatureFormat)
    only_read = FeatureFormat.write_features
    return {name: each for name, each in formats.items() if not writes or each.write_features is not only_read}


def _meant(path: Path, formats: dict[str, type[FeatureFormat]]) -> list[str]:
    """Names of the formats that the ending of a path means; a path without one means none."""
    return [name for name, each in formats.items() if path.suffix and path.suffix in each.endings]


def _format(path: Path, writes: bool = False) -> FeatureFormat:
    """The file in the format that its ending means.

    Args:
        path: The file.
        writes: Whether the format has to write.

    Raises:
        UsageError: No format has that ending, or several have it and not exactly one knows the file.
    """
    formats = _formats(writes)
    meant = _meant(path, formats)
    if len(meant) > 1:
        meant = [name for name in meant if formats[name](path).has_features()] or meant
    if len(meant) == 1:
        return formats[meant[0]](path)
    if meant:
        raise UsageError(f"{path}: {listed(meant)} have that ending; LENSKIT_PLUGINS limits which plugins are loaded")
    endings = [ending for each in formats.values() for ending in each.endings if ending]
    hint = near(path.suffix, endings)
    raise UsageError(f"files of embeddings end with {', '.join(endings)}, not as {path.name} does{hint}")
