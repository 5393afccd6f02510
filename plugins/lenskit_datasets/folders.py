"""Search for the files of a data set, by their endings and through links."""

from __future__ import annotations

import logging
import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lenskit.plugin import UsageError

log = logging.getLogger("lenskit")

FITS = tuple(ending + packed for ending in (".fits", ".fit", ".fts") for packed in ("", ".gz", ".fz"))
"""Endings of FITS files, in lower case."""

PICTURES = (".png", ".jpg", ".jpeg", ".tif", ".tiff")
"""Endings of pictures, in lower case."""

ARRAYS = (".npy",)
"""Endings of numpy's arrays, in lower case."""

DEPTH = 3
"""Levels of folders below the opened folder in which a reader looks for files."""

_ENDING = re.compile(r"\.\w+(\.[fg]z)?$", re.IGNORECASE)
_NOT_DATA = ("__MACOSX", "__pycache__")


def has_ending(file: str | Path, endings: Sequence[str] = FITS) -> bool:
    """Whether a file name has one of these endings, in upper or lower case."""
    return os.path.basename(file).lower().endswith(tuple(endings))


def stem(name: str, endings: Sequence[str] = FITS) -> str:
    """Return a file name without its ending, in upper or lower case.

    The default endings are those of FITS files.
    """
    return next((name[: -len(ending)] for ending in endings if name.lower().endswith(ending)), name)


def is_hidden(name: str) -> bool:
    """Whether a file or folder is hidden or belongs to the system.

    Examples are `.DS_Store`, and `._a.fits`, which macOS writes next to `a.fits`.
    """
    return name.startswith(".") or name in _NOT_DATA


@dataclass
class Found:
    """Files in a folder and its subfolders, sorted by name, and skipped paths."""

    files: list[Path] = field(default_factory=list)
    broken: list[Path] = field(default_factory=list)
    """Links whose target does not exist."""
    closed: list[Path] = field(default_factory=list)
    """Folders without read permission."""
    repeated: list[Path] = field(default_factory=list)
    """Links to folders that were already searched, or that contain the link."""

    def ending(self, endings: Sequence[str]) -> list[Path]:
        """Return the files that have one of these endings, in upper or lower case."""
        return [file for file in self.files if has_ending(file, endings)]

    def tell(self, root: Path) -> None:
        """Warn about skipped paths, in one line for each reason."""
        for paths, one, several in (
            (self.broken, "link is broken and is", "links are broken and are"),
            (self.closed, "folder may not be read and is", "folders may not be read and are"),
            (self.repeated, "link leads back to a folder and is", "links lead back to folders and are"),
        ):
            if paths:
                reason = one if len(paths) == 1 else several
                log.warning("%s: %d %s left out: %s", root, len(paths), reason, named(root, paths))


def check_names(root: Path, names: Sequence[str], advice: str = "choose one with a pattern") -> None:
    """Check that all files have different names; a.fits and a.FITS have the same.

    Raises:
        UsageError: Two files have the same name.
    """
    for name, count in Counter(names).items():
        if count > 1:
            raise UsageError(f"{count} files in {root} are called {name}: {advice}")


def named(root: Path, paths: Sequence[Path]) -> str:
    """Return the first few paths, relative to a folder, as text."""
    names = [path.relative_to(root).as_posix() for path in paths[:3]]
    return ", ".join(names) + (f" and {len(paths) - 3} more" if len(paths) > 3 else "")


def look_through(root: Path, depth: int | None = None) -> Found:
    """Find the files in a folder and its subfolders, except hidden ones.

    Links are followed, but no folder is read twice.

    Args:
        root: Folder to search.
        depth: Number of levels of subfolders to search; 0 for the folder's own files, None for all levels.

    Raises:
        UsageError: The folder may not be read.
    """
    listing = Found()
    files = sorted(each_file(root, depth, listing), key=lambda file: file.replace(os.sep, "\0"))
    listing.files = [Path(file) for file in files]
    for paths in (listing.broken, listing.closed, listing.repeated):
        paths.sort()
    return listing


def kinds_in(root: Path) -> set[tuple[str, ...]]:
    """Return the kinds of data files in a folder and its subfolders.

    Kinds are `FITS`, `PICTURES` and `ARRAYS`.
    """
    endings = {match[0].lower() for file in each_file(root, 1) if (match := _ENDING.search(file))}
    return {kind for kind in (FITS, PICTURES, ARRAYS) if not endings.isdisjoint(kind)}


def each_file(root: Path, depth: int | None, found: Found | None = None) -> Iterator[str]:
    """Yield the files of `look_through`, unsorted; add skipped paths to `found`."""
    found = Found() if found is None else found
    # A link to a parent of the root is not followed.
    place = os.path.realpath(root)
    seen = set(map(str, Path(place).parents))
    # Linked folders come last, so that a file is listed with a path without links if there is one.
    folders, linked = [(str(root), 0)], list[tuple[str, int]]()
    while folders or linked:
        folder, level = folders.pop() if folders else linked.pop(0)
        place = os.path.realpath(folder)
        if place in seen:
            found.repeated.append(Path(folder))
            continue
        seen.add(place)
        try:
            with os.scandir(folder) as listed:
                entries = [entry for entry in listed if not is_hidden(entry.name)]
        except PermissionError as error:
            if folder == str(root):
                raise UsageError(f"the folder {root} may not be read: {error.strerror}") from error
            found.closed.append(Path(folder))
            continue
        for entry in entries:
            link = entry.is_symlink()
            # `entry.is_dir` fails for a link to itself. `os.path.isdir` does not, but takes a system call per file.
            if os.path.isdir(entry.path) if link else entry.is_dir():
                if depth is None or level < depth:
                    (linked if link else folders).append((entry.path, level + 1))
            elif os.path.isfile(entry.path) if link else entry.is_file():
                yield entry.path
            elif link:
                found.broken.append(Path(entry.path))


def matching(root: Path, pattern: str) -> Found:
    """Find the files in a folder that match a pattern.

    Hidden files are found only if a part of the pattern begins with a dot.

    Raises:
        UsageError: The pattern is not valid.
    """
    try:
        paths = sorted(set(root.glob(pattern)))
    except (ValueError, NotImplementedError, IndexError) as error:
        raise UsageError(
            f"pattern={pattern!r} is not a pattern of files in {root} ({error}); use, for example, pattern=*/*.fits"
        ) from error
    if not any(part.startswith(".") for part in Path(pattern).parts):
        paths = [path for path in paths if not any(map(is_hidden, path.relative_to(root).parts))]
    return Found(
        files=[path for path in paths if path.is_file()],
        broken=[path for path in paths if path.is_symlink() and not path.exists()],
    )
