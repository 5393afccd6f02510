"""Reading and writing of embedding files; a file appears only when it is complete."""

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
    """Whether a path has the suffix of an embedding file."""
    return bool(_formats_of_suffix(path, _formats()))


def is_embeddings(path: Path) -> bool:
    """Whether a path looks like an embedding file; the file is not read."""
    return may_be_embeddings(path) and (_format(path).has_features() if path.is_dir() else path.is_file())


def check(path: Path, overwrite: bool = False) -> None:
    """Check that embeddings can be written to a path; see `Embeddings.check_path`."""
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
    """Return the names of files inside embeddings that lenskit did not write.

    Return None if lenskit did not write the embeddings at all.
    """
    card = card_in(path)
    return _format(path).feature_strangers(card) if card else None


def card_in(path: Path) -> dict[str, Any]:
    """Return the card of an embedding file.

    It is empty if lenskit did not write the file, or if the file is damaged.
    """
    if not may_be_embeddings(path) or path.is_symlink() or not (file := _format(path)).has_features():
        return {}
    try:
        card = file.feature_card()
    except (LenskitError, *FAULTS, EOFError, zipfile.BadZipFile):
        return {}
    return card if isinstance(card, dict) and card.get("format") == FORMAT else {}


def write(path: Path, parts: Iterator[FeatureTable], rows: int, overwrite: bool = False) -> None:
    """Write a temporary file, and rename it when it is complete.

    See `Embeddings.write`.

    Args:
        path: The file.
        parts: The rows, in parts.
        rows: Total number of rows.
        overwrite: Whether to overwrite a file that lenskit did not write.
    """
    check(path, overwrite)
    # Remove temporary files of killed processes.
    for left in leftovers(path, "part"):
        remove(left)
    temporary = scratch(path, "part")
    temporary.mkdir(parents=True)
    try:
        new = temporary / path.name
        type(_format(path, writes=True))(new).write_features(_counted(parts, rows), rows)
        check(path, overwrite)  # check again, because writing takes long
        if path.is_dir():
            path.rename(temporary / "old")
        try:
            new.replace(path)
        except OSError:
            if (temporary / "old").exists():
                (temporary / "old").rename(path)
            raise
    except OSError as error:
        if error.filename and temporary not in Path(os.fsdecode(error.filename)).parents:
            raise  # another file failed, such as an image that is read
        reason = os.strerror(error.errno) if error.errno else error
        raise LenskitError(f"{path} cannot be written: {reason}; an earlier file is unharmed") from error
    finally:
        remove(temporary)


def read(path: Path) -> dict[str, Any]:
    """Open a file and return the arguments of `Embeddings`; see `Embeddings.load`."""
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
        message = f"{path} holds no embeddings, or is damaged: {reason(error)}"
        raise too_many_files(error) or LenskitError(message) from None


def _counted(parts: Iterator[FeatureTable], rows: int) -> Iterator[FeatureTable]:
    """Yield the parts, and check the total number of rows."""
    count = 0
    for part in parts:
        count += len(part)
        yield part
    if count != rows or not rows:
        raise LenskitError(f"`rows` is {rows}, but the parts have {count} rows of embeddings")


def _formats(writes: bool = False) -> dict[str, type[FeatureFormat]]:
    """Return the formats of features; with `writes`, only formats that can write."""
    formats = formats_of(FeatureFormat)
    only_read = FeatureFormat.write_features
    return {name: each for name, each in formats.items() if not writes or each.write_features is not only_read}


def _formats_of_suffix(path: Path, formats: dict[str, type[FeatureFormat]]) -> list[str]:
    """Return the names of the formats with the suffix of a path, if it has one."""
    return [name for name, each in formats.items() if path.suffix and path.suffix in each.endings]


def _format(path: Path, writes: bool = False) -> FeatureFormat:
    """Return the file in the format that its suffix selects.

    Args:
        path: The file.
        writes: Whether the format must be able to write.

    Raises:
        UsageError: No format has that suffix. Or several formats have it, and not exactly one recognises the file.
    """
    formats = _formats(writes)
    names = _formats_of_suffix(path, formats)
    if len(names) > 1:
        names = [name for name in names if formats[name](path).has_features()] or names
    if len(names) == 1:
        return formats[names[0]](path)
    if names:
        raise UsageError(
            f"{path}: {listed(names)} have that ending; set LENSKIT_PLUGINS to load only one of their plugins"
        )
    endings = [ending for each in formats.values() for ending in each.endings if ending]
    hint = near(path.suffix, endings)
    raise UsageError(f"the name of an embedding file must end with {', '.join(endings)}, but is {path.name}{hint}")
