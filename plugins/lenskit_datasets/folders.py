"""Selection of the files of a folder that belong to a data set, by their endings and by where links lead."""

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
"""Endings of FITS files, in small letters."""

PICTURES = (".png", ".jpg", ".jpeg", ".tif", ".tiff")
"""Endings of pictures, in small letters."""

ARRAYS = (".npy",)
"""Endings of numpy's arrays, in small letters."""

DEPTH = 3
"""Folders below the one that is opened in which a reader looks for files that it recognises."""

_ENDING = re.compile(r"\.\w+(\.[fg]z)?$", re.IGNORECASE)
_NOT_DATA = ("__MACOSX", "__pycache__")


def has_ending(file: str | Path, endings: Sequence[str] = FITS) -> bool:
    """Whether the name of a file has one of some endings, in capitals or not."""
    return os.path.basename(file).lower().endswith(tuple(endings))


def stem(name: str, endings: Sequence[str] = FITS) -> str:
    """The name of a file without the ending of a FITS file, or one of some others, in capitals or not."""
    return next((name[: -len(ending)] for ending in endings if name.lower().endswith(ending)), name)


def is_hidden(name: str) -> bool:
    """Whether a file or folder is the system's: `.DS_Store`, and `._a.fits`, which macOS leaves beside `a.fits`."""
    return name.startswith(".") or name in _NOT_DATA


@dataclass
class Found:
    """The files in a folder and in its folders, by name, and what could not be followed."""

    files: list[Path] = field(default_factory=list)
    broken: list[Path] = field(default_factory=list)
    """Links that lead nowhere."""
    closed: list[Path] = field(default_factory=list)
    """Folders that may not be read."""
    repeated: list[Path] = field(default_factory=list)
    """Links to folders that are looked through already, or that hold the link."""

    def ending(self, endings: Sequence[str]) -> list[Path]:
        """The files with one of some endings, in capitals or not."""
        return [file for file in self.files if has_ending(file, endings)]

    def tell(self, root: Path) -> None:
        """Warns, in one line for each reason, of what was left out."""
        for paths, one, several in (
            (self.broken, "link leads nowhere and is", "links lead nowhere and are"),
            (self.closed, "folder may not be read and is", "folders may not be read and are"),
            (self.repeated, "link leads back to a folder and is", "links lead back to folders and are"),
        ):
            if paths:
                said = one if len(paths) == 1 else several
                log.warning("%s: %d %s left out: %s", root, len(paths), said, named(root, paths))


def check_names(root: Path, names: Sequence[str], advice: str = "say which by a pattern") -> None:
    """Refuses files that are called the same, such as a.fits and a.FITS.

    Raises:
        UsageError: if there are some.
    """
    for name, count in Counter(names).items():
        if count > 1:
            raise UsageError(f"{count} files in {root} are called {name}: {advice}")


def named(root: Path, paths: Sequence[Path]) -> str:
    """A few paths in words, as they lie in a folder."""
    names = [path.relative_to(root).as_posix() for path in paths[:3]]
    return ", ".join(names) + (f" and {len(paths) - 3} more" if len(paths) > 3 else "")


def look_through(root: Path, depth: int | None = None) -> Found:
    """Finds the files in a folder and in its folders; nothing hidden. Links are followed, but no folder is read twice.

    Args:
        root: The folder.
        depth: Levels of folders below it that are looked through; 0 for its own files, all if not given.

    Raises:
        UsageError: if the folder itself may not be read.
    """
    listing = Found()
    files = sorted(each_file(root, depth, listing), key=lambda file: file.replace(os.sep, "\0"))
    listing.files = [Path(file) for file in files]
    for paths in (listing.broken, listing.closed, listing.repeated):
        paths.sort()
    return listing


def kinds_in(root: Path) -> set[tuple[str, ...]]:
    """The kinds of data files in a folder and in those in it: some of `FITS`, `PICTURES` and `ARRAYS`."""
    endings = {match[0].lower() for file in each_file(root, 1) if (match := _ENDING.search(file))}
    return {kind for kind in (FITS, PICTURES, ARRAYS) if not endings.isdisjoint(kind)}


def each_file(root: Path, depth: int | None, found: Found | None = None) -> Iterator[str]:
    """Yields the files that `look_through` finds, in any order; adds what cannot be followed to `found`."""
    found = Found() if found is None else found
    # Those that hold the root are no part of it.
    place = os.path.realpath(root)
    seen = set(map(str, Path(place).parents))
    # Linked folders come last, so that a file is called by its own place if it has one.
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
            # An entry cannot follow a link to itself; os.path can, but asks the disk about each file.
            if os.path.isdir(entry.path) if link else entry.is_dir():
                if depth is None or level < depth:
                    (linked if link else folders).append((entry.path, level + 1))
            elif os.path.isfile(entry.path) if link else entry.is_file():
                yield entry.path
            elif link:
                found.broken.append(Path(entry.path))


def matching(root: Path, pattern: str) -> Found:
    """Finds the files of a pattern in a folder. Nothing hidden, unless the pattern says so.

    Raises:
        UsageError: if it is no pattern.
    """
    try:
        paths = sorted(set(root.glob(pattern)))
    except (ValueError, NotImplementedError, IndexError) as error:
        raise UsageError(
            f"pattern={pattern!r} is no pattern of files in {root} ({error}); right is, say, pattern=*/*.fits"
        ) from error
    if not any(part.startswith(".") for part in Path(pattern).parts):
        paths = [path for path in paths if not any(map(is_hidden, path.relative_to(root).parts))]
    return Found(
        files=[path for path in paths if path.is_file()],
        broken=[path for path in paths if path.is_symlink() and not path.exists()],
    )
