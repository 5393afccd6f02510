"""Recognition of files that lenskit wrote.

lenskit replaces its own files, and never removes other files. A file in a folder counts as lenskit's if
lenskit gives this name to a file in such a folder, or if a list in the folder names the file. The lists are `files` in
`results.json`, and `lenskit-files.json` for evaluations that do not list their files. A single page or picture contains
a mark (`STAMP`). Links are not followed. They count as foreign unless lenskit writes such a link there.
"""

from __future__ import annotations

import json
import mmap
import os
import re
import secrets
import shutil
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lenskit.asked import asked
from lenskit.errors import LenskitError
from lenskit.files import is_part, write_atomically
from lenskit.records import load_json
from lenskit.registry import registry

LISTS = RESULTS, LIST = "results.json", "lenskit-files.json"
"""Files with a list `files` of the results in the same folder."""

STAMP = "written by lenskit, which may replace it"
"""Mark in every page and picture, which allows lenskit to replace it."""

Owns = Callable[[str], bool]
"""Function that returns whether lenskit writes an entry of a name. The name is relative to the folder; the name of a
folder ends with `/`, the name of a link with `@`."""


def stamp() -> str:
    """Return the mark of a page, which allows lenskit to replace the page.

    If an evaluation writes the page, the mark ends with the identity of the command.
    """
    return f"{STAMP} {asked().identity}".strip()


def strangers(
    folder: Path, owns: Owns, tree: Callable[[Path], list[str] | None] = lambda path: None, at: str = ""
) -> list[str]:
    """Return the files in a folder that lenskit did not write.

    Args:
        folder: The folder.
        owns: Whether lenskit writes an entry of a name.
        tree: Function that returns the foreign files of an inner folder if the content shows the kind of the folder.
            Otherwise it returns None, and `owns` and the lists decide.
        at: Prefix of the names in the folder.

    Returns:
        Paths relative to the folder, after the prefix. An unknown inner folder is one entry that ends with `/`; its
        content is not listed.
    """
    names: list[str] = []
    listed = {at + name for name in listed_in(folder)}

    def ours(name: str) -> bool:
        return owns(name) or name in listed or (name.endswith("/") and any(one.startswith(name) for one in listed))

    for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
        name = at + entry.name
        if entry.is_symlink():
            names += [name] if not owns(name + "@") else []
        elif entry.is_dir():
            inner = tree(Path(entry.path))
            if inner is not None:
                names += [f"{name}/{each}" for each in inner]
            else:
                is_ours = ours(name + "/")
                names += strangers(Path(entry.path), ours, tree, name + "/") if is_ours else [name + "/"]
        elif not (is_part(entry.name) or ours(name)):
            names.append(name)
    return names


def listed_in(folder: Path, evaluation: str = "", lists: Sequence[str] = LISTS) -> set[str]:
    """Return the file names in the lists of a folder, and the names of the lists.

    Args:
        folder: The folder.
        evaluation: Name of an evaluation. Lists of different evaluations are ignored. If empty, all lists are read.
        lists: Names of the lists to read.
    """
    names: set[str] = set()
    for file in lists:
        content = object_in(folder / file)
        # A file that lenskit did not write may have a list `files`, too.
        files = content.get("files") if "evaluation" in content else None
        if not isinstance(files, list):
            files = _unlisted(folder, content) if file == RESULTS else []
        by = content.get("evaluation") or evaluation
        if files and (not evaluation or by == evaluation):
            names |= {str(name) for name in files} | {file}
    return names


def write_list(folder: Path, names: Iterable[str], evaluation: str) -> None:
    """Add names to the list of files that an evaluation wrote into a folder."""
    listed = set(object_in(folder / LIST).get("files") or ())
    content = {"evaluation": evaluation, "asked": asked().identity, "files": sorted(listed | set(names))}
    write_atomically(folder / LIST, json.dumps(content, indent=1) + "\n")


def object_in(path: Path) -> dict[str, Any]:
    """Read the object in a JSON file.

    The result is empty if the file is a link, is missing or cannot be read.
    """
    try:
        return dict(load_json(path)) if path.is_file() and not path.is_symlink() else {}
    except LenskitError:
        return {}


def _unlisted(folder: Path, results: Mapping[str, Any]) -> list[str]:
    """Return the names of the result files that an earlier version wrote.

    Earlier versions wrote no list, but always used the same names.
    """
    if not {"title", "settings", "table"} <= results.keys():
        return []
    records = {record.typed: record for record in registry().of_kind("evaluation")}
    parts = [*folder.absolute().parts]
    name = next((part for part in parts[:-4:-1] if part in records), None)
    pictures = results.get("pictures")
    own = (records[name].load().files or ()) if name else ()
    return [RESULTS, "table.md", "table.csv", *own, *(pictures if isinstance(pictures, list) else ())]


@contextmanager
def listing(folders: Iterable[Path], evaluation: str) -> Iterator[None]:
    """Record the names of files that are created or changed in the context.

    The names are added to `lenskit-files.json` in the same folder. This is for evaluations that do not list their files
    themselves.

    Args:
        folders: The folders.
        evaluation: Name of the evaluation.
    """
    before = {place: _unlisted_files(place) for place in folders}
    try:
        yield
    finally:
        for place, stats in before.items():
            after = _unlisted_files(place, stats)
            if new := [name for name, stat in after.items() if name[-1] != "/" and stats.get(name) != stat]:
                write_list(place, new, evaluation)


def _unlisted_files(folder: Path, known: Collection[str] | None = None) -> dict[str, tuple[int, int, int]]:
    """Return the files of a folder that no list names.

    Args:
        folder: The folder.
        known: Result of an earlier call. Inner folders that are not in it are new, so their files are returned. Without
            it, inner folders are returned as one entry.

    Returns:
        Inode, size and modification time by name. A difference shows that a file has changed.
    """

    def ours(name: str) -> bool:
        return known is not None and name[-1] == "/" and f"{name.partition('/')[0]}/" not in known

    names = strangers(folder, ours) if folder.is_dir() else []
    stats = {name: (folder / name).lstat() for name in names}
    return {name: (stat.st_ino, stat.st_size, stat.st_mtime_ns) for name, stat in stats.items()}


def is_stamped(path: Path) -> bool:
    """Whether a file contains the mark of lenskit."""
    if not path.is_file() or not path.stat().st_size:
        return False
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return content.find(STAMP.encode()) >= 0


def scratch(path: Path, ending: str) -> Path:
    """Return a temporary path in the same folder, `.NAME.1a2b3c4d.ENDING`.

    It is for a file or a folder that is being written or removed.
    """
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}.{ending}")


def leftovers(path: Path, ending: str) -> list[Path]:
    """Return the temporary paths (see `scratch`) that killed commands left behind."""
    pattern = re.compile(rf"\.{re.escape(path.name)}\.[0-9a-f]{{8}}\.{ending}")
    if not path.parent.is_dir():
        return []
    return [Path(entry.path) for entry in os.scandir(path.parent) if pattern.fullmatch(entry.name)]


def remove(path: Path) -> None:
    """Remove a file, a folder with its content, or a link without its target."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
