"""Files that lenskit wrote, and may therefore replace: files of others are never removed.

A folder of lenskit's has only entries whose names are known for it, or that are in a list there: in the `files` of a
`results.json`, or in `lenskit-files.json` where an evaluation wrote what it does not list itself. A single file says in
itself that lenskit wrote it (`STAMP`). A link is nothing that lenskit writes, and none is followed.
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
"""Files with a list `files` of what was written beside them."""

STAMP = "written by lenskit, which may replace it"
"""Is in every page and picture, so that the next one may take its place."""

Owns = Callable[[str], bool]
"""Whether lenskit writes an entry of that name, relative to the folder; a folder's ends with `/`, a link's with `@`."""


def stamp() -> str:
    """Return the mark in every page of lenskit, by which the next one may replace it.

    It ends with the identity of the command that writes the page, if an evaluation does.
    """
    return f"{STAMP} {asked().identity}".strip()


def strangers(
    folder: Path, owns: Owns, tree: Callable[[Path], list[str] | None] = lambda path: None, at: str = ""
) -> list[str]:
    """Names of what is in a folder and neither known nor listed, by their paths in it.

    A folder of which nothing is known is named, and not what is in it.

    Args:
        folder: The folder.
        owns: What lenskit writes there.
        tree: Names of what is a stranger in a folder that says of itself what it is; None of any other.
        at: What stands before names.
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
    """Names of the files that the lists in a folder name.

    Args:
        folder: The folder.
        evaluation: If given, what another evaluation lists does not count.
        lists: The lists that count.
    """
    names: set[str] = set()
    for file in lists:
        content = object_in(folder / file)
        # Somebody else's file may have a list `files`, too.
        files = content.get("files") if "evaluation" in content else None
        if not isinstance(files, list):
            files = _unlisted(folder, content) if file == RESULTS else []
        by = content.get("evaluation") or evaluation
        if files and (not evaluation or by == evaluation):
            names |= {str(name) for name in files} | {file}
    return names


def write_list(folder: Path, names: Iterable[str], evaluation: str) -> None:
    """Adds names to the list of what an evaluation wrote into a folder."""
    listed = set(object_in(folder / LIST).get("files") or ())
    content = {"evaluation": evaluation, "asked": asked().identity, "files": sorted(listed | set(names))}
    write_atomically(folder / LIST, json.dumps(content, indent=1) + "\n")


def object_in(path: Path) -> dict[str, Any]:
    """Read the object in a JSON file; an empty one for a link, or a file that cannot be read."""
    try:
        return dict(load_json(path)) if path.is_file() and not path.is_symlink() else {}
    except LenskitError:
        return {}


def _unlisted(folder: Path, results: Mapping[str, Any]) -> list[str]:
    """Names of the files of an evaluation of an earlier version, which kept no list but always used the same names."""
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
    """Lists whatever comes to be in folders meanwhile, for an evaluation that does not list it itself."""
    before = {place: _unlisted_files(place) for place in folders}
    try:
        yield
    finally:
        for place, stats in before.items():
            after = _unlisted_files(place, stats)
            if new := [name for name, stat in after.items() if name[-1] != "/" and stats.get(name) != stat]:
                write_list(place, new, evaluation)


def _unlisted_files(folder: Path, known: Collection[str] | None = None) -> dict[str, tuple[int, int, int]]:
    """Files of a folder that no list names, with inode, size and time, which show a change.

    Folders among the `known` strangers are not looked into.
    """

    def ours(name: str) -> bool:
        return known is not None and name[-1] == "/" and f"{name.partition('/')[0]}/" not in known

    names = strangers(folder, ours) if folder.is_dir() else []
    stats = {name: (folder / name).lstat() for name in names}
    return {name: (stat.st_ino, stat.st_size, stat.st_mtime_ns) for name, stat in stats.items()}


def is_stamped(path: Path) -> bool:
    """Whether a file says that lenskit wrote it."""
    if not path.is_file() or not path.stat().st_size:
        return False
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return content.find(STAMP.encode()) >= 0


def scratch(path: Path, ending: str) -> Path:
    """A free name beside a path for what is being made or removed: `.NAME.1a2b3c4d.ENDING`."""
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}.{ending}")


def leftovers(path: Path, ending: str) -> list[Path]:
    """Paths of the form of `scratch` that killed commands left behind."""
    pattern = re.compile(rf"\.{re.escape(path.name)}\.[0-9a-f]{{8}}\.{ending}")
    if not path.parent.is_dir():
        return []
    return [Path(entry.path) for entry in os.scandir(path.parent) if pattern.fullmatch(entry.name)]


def remove(path: Path) -> None:
    """Removes a file or a folder of lenskit's; of a link the link."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
