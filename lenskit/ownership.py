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
from contextvars import ContextVar
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from lenskit.errors import LenskitError, UsageError
from lenskit.files import is_part, write_atomically
from lenskit.records import load_json
from lenskit.registry import registry
from lenskit.run_files import RUN, is_run, writes
from lenskit.words import listed

LISTS = RESULTS, LIST = "results.json", "lenskit-files.json"
"""Files with a list `files` of what was written beside them."""

STAMP = "written by lenskit, which may replace it"
"""Is in every page and picture, so that the next one may take its place."""

Owns = Callable[[str], bool]
"""Whether lenskit writes an entry of that name, relative to the folder; a folder's ends with `/`, a link's with `@`."""


@dataclass(frozen=True)
class Asked:
    """Options of a command on where the results of an evaluation go.

    Attributes:
        evaluation: Its name; empty if it was called without the core.
        output: The folder in place of those in the runs.
        overwrite: Whether files of others are replaced.
        labels: Names of the subjects' folders in `output` by the subjects' keys, where there are several.
        inputs: What the command reads: nothing is written to it.
        subjects: What is judged, if it is no run.
    """

    evaluation: str = ""
    output: Path | None = None
    overwrite: bool = False
    labels: Mapping[Path, str] = field(default_factory=dict)
    inputs: tuple[Path, ...] = ()
    subjects: tuple[str, ...] = ()

    def place(self, subject: Path) -> Path | None:
        """The folder for the results of a subject of that key, if the command names one."""
        return self.output and self.output / self.labels.get(subject, "")


_NOTHING = Asked()
_asked: ContextVar[Asked] = ContextVar("asked", default=_NOTHING)


def asked() -> Asked:
    """Return the options on where the results of the current evaluation go."""
    return _asked.get()


@contextmanager
def asking(wish: Asked) -> Iterator[None]:
    """Has `asked` say so meanwhile."""
    token = _asked.set(wish)
    try:
        yield
    finally:
        _asked.reset(token)


def stamp() -> str:
    """Return the mark in every page and picture of lenskit, by which the next one may replace it."""
    return STAMP


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
    found: list[str] = []
    listed = {at + name for name in listed_in(folder)}

    def ours(name: str) -> bool:
        return owns(name) or name in listed or (name.endswith("/") and any(one.startswith(name) for one in listed))

    for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
        name = at + entry.name
        if entry.is_symlink():
            found += [name] if not owns(name + "@") else []
        elif entry.is_dir():
            inner = tree(Path(entry.path))
            if inner is not None:
                found += [f"{name}/{each}" for each in inner]
            else:
                known = ours(name + "/")
                found += strangers(Path(entry.path), ours, tree, name + "/") if known else [name + "/"]
        elif not (is_part(entry.name) or ours(name)):
            found.append(name)
    return found


def listed_in(folder: Path, evaluation: str = "", lists: Sequence[str] = LISTS) -> set[str]:
    """Names of the files that the lists in a folder name.

    Args:
        folder: The folder.
        evaluation: If given, what another evaluation lists does not count.
        lists: The lists that count.
    """
    names: set[str] = set()
    for file in lists:
        content = _object(folder / file)
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
    known = set(_object(folder / LIST).get("files") or ())
    content = {"evaluation": evaluation, "files": sorted(known | set(names))}
    write_atomically(folder / LIST, json.dumps(content, indent=1) + "\n")


def _object(path: Path) -> dict[str, Any]:
    """The object in a JSON file; none of a link, or of a file that cannot be read, which then lists nothing."""
    try:
        return dict(load_json(path)) if path.is_file() and not path.is_symlink() else {}
    except LenskitError:
        return {}


def _unlisted(folder: Path, results: Mapping[str, Any]) -> list[str]:
    """Names of the files of an evaluation of an earlier version, which kept no list but always used the same names."""
    if not {"title", "settings", "table"} <= results.keys():
        return []
    records = {record.name: record for record in registry().of_kind("evaluation")}
    parts = [*folder.absolute().parts]
    name = next((part for part in parts[:-4:-1] if part in records), None)
    pictures = results.get("pictures")
    own = (records[name].load().files or ()) if name else ()
    return [RESULTS, "table.md", "table.csv", *own, *(pictures if isinstance(pictures, list) else ())]


# --- Results of evaluations ---


def check_free(folder: Path, names: Collection[str]) -> None:
    """Checks, before there is any work, that results can be written to a folder.

    Args:
        folder: The folder, which need not exist.
        names: Files that will be written there. Those of an earlier outcome of the same evaluation are replaced.

    Raises:
        UsageError: if there is a file of such a name that the evaluation did not write, and nothing is to be
            overwritten; or it is no folder.
        LenskitError: if nothing can be written there.
    """
    check_writable(folder)
    wish = asked()
    for name in names:
        if os.path.lexists(folder / name) and any(same(folder / name, given) for given in wish.inputs):
            raise UsageError(f"{folder / name} is an input of this command: choose another --output")
        if (folder / name).is_dir() and not (folder / name).is_symlink() and not name.endswith("/"):
            raise UsageError(f"{folder / name} is a folder, where a file would go: move it, or choose another --output")
    if wish.overwrite or not folder.is_dir():
        return
    other = str(_object(folder / RESULTS).get("evaluation") or wish.evaluation)
    if wish.evaluation and other != wish.evaluation:
        raise UsageError(f"{folder} holds results of {other}: choose another --output, or use --overwrite")
    own = listed_in(folder, wish.evaluation)
    if taken := [name for name in names if name not in own and os.path.lexists(folder / name)]:
        raise UsageError(
            f"{folder} holds {listed(taken, 3)}, which {wish.evaluation or 'this evaluation'} did not write: move "
            "what is yours, choose another --output, or replace it with --overwrite"
        )


def working_folder(judged: Path, evaluation: str, name: str = "") -> Path:
    """Where results go that are of no run: `NAME-evaluations/EVALUATION` in the working folder, with a number if those
    of another file of that name are there.

    Args:
        judged: The file or folder that is judged.
        evaluation: The evaluation.
        name: Its name, if that is not the name of the file.
    """
    stem = name or judged.name
    for number in count(1):
        name = f"{stem}-{number}-evaluations" if number > 1 else f"{stem}-evaluations"
        folder = Path.cwd() / name / evaluation
        of = _object(folder / RESULTS).get("of")
        if not isinstance(of, list) or not of or str(judged.resolve()) in of:
            return folder
    raise AssertionError


@contextmanager
def listing(folders: Iterable[Path], evaluation: str) -> Iterator[None]:
    """Lists whatever comes to be in folders meanwhile, for an evaluation that does not list it itself."""
    before = {place: _unlisted_files(place) for place in folders}
    try:
        yield
    finally:
        for place, known in before.items():
            after = _unlisted_files(place, known)
            if new := [name for name, stat in after.items() if name[-1] != "/" and known.get(name) != stat]:
                write_list(place, new, evaluation)


def _unlisted_files(folder: Path, known: Collection[str] | None = None) -> dict[str, tuple[int, int, int]]:
    """Files of a folder that no list names, with inode, size and time, which show a change.

    Folders among the `known` strangers are not looked into.
    """

    def ours(name: str) -> bool:
        return known is not None and name[-1] == "/" and f"{name.partition('/')[0]}/" not in known

    names = strangers(folder, ours) if folder.is_dir() else []
    found = {name: (folder / name).lstat() for name in names}
    return {name: (stat.st_ino, stat.st_size, stat.st_mtime_ns) for name, stat in found.items()}


# --- Files and folders that a user names ---


def is_stamped(path: Path) -> bool:
    """Whether a file says that lenskit wrote it."""
    if not path.is_file() or not path.stat().st_size:
        return False
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return content.find(STAMP.encode()) >= 0


def check_output(
    path: Path,
    *,
    overwrite: bool | None = None,
    inputs: Iterable[Path] | None = None,
    ours: Callable[[Path], bool] = is_stamped,
    flag: str = "--output",
) -> None:
    """Checks, before there is any work, that a file can be written where a user wants it.

    Args:
        path: The file.
        overwrite: Whether a file of others is replaced. An input and a part of a run never are. By default as the
            command of the evaluation says.
        inputs: What the command reads; by default what that of the evaluation does.
        ours: Whether what is there was written by this verb.
        flag: How the path was given.

    Raises:
        UsageError: if something is there that may not be replaced.
        LenskitError: if nothing can be written there.
    """
    other = f"choose another {flag}"
    overwrite = asked().overwrite if overwrite is None else overwrite
    if not path.name or path.name == "..":
        raise UsageError(f"{flag} takes the name of a file, got {str(path)!r}")
    if path.is_dir() and not ours(path):
        raise UsageError(f"{path} is a folder: {other}")
    for given in asked().inputs if inputs is None else inputs:
        if same(path, given):
            raise UsageError(f"{path} is an input of this command: {other}")
        if os.path.lexists(path) and inside(path, given):
            raise UsageError(f"{path} belongs to {given}, an input of this command: {other}")
    check_no_part(path, flag)
    link = path.is_symlink() and not path.is_dir()
    if os.path.lexists(path) and not overwrite and (link or not ours(path)):
        raise UsageError(f"{path} exists: {other}, or replace it with --overwrite")
    check_writable(path.parent)


def check_no_part(path: Path, flag: str, folder: bool = False) -> None:
    """Raises if a path is that of a part of a run or a store, or in one.

    Args:
        path: The path.
        flag: How it was given.
        folder: Whether it is that of a folder to write to, which is no store, either.

    Raises:
        UsageError: naming the run or the store.
    """
    for each in dict.fromkeys([Path(os.path.abspath(path)), path.resolve()]):
        for above in (each, *each.parents):
            name = each.relative_to(above).as_posix()
            there = each.is_file() and name.partition("/")[0] in ("evaluations", "export")
            part = name == "." or any(map(writes, (name, name.lower(), f"{name}/")))
            part = part or name.partition("/")[0].lower() in ("encoder", "best", "checkpoints")
            if (part or there) and is_run(above):
                raise UsageError(f"{path} is a part of the run {above}: choose another {flag}")
            if (folder or above != each) and _object(above / "zarr.json").get("node_type"):
                raise UsageError(f"{path} is in the store {above}: choose another {flag}")


def check_outside(path: Path, flag: str = "--out") -> None:
    """Checks, before there is any work, that a path where a run or a store shall be made is in none.

    Args:
        path: The path.
        flag: How it was given.

    Raises:
        UsageError: naming the run or the store that it is in.
    """
    for each in dict.fromkeys([Path(os.path.abspath(path)), path.resolve()]):
        for above in each.parents:
            # A run that is half made, too, has a folder `best` of its own.
            if is_run(above) or (each == above / "best" and (above / RUN).is_file()):
                raise UsageError(f"{path} is a part of the run {above}: choose another {flag}")
            if _object(above / "zarr.json").get("node_type") or "format" in _object(above / "simulation.json"):
                raise UsageError(f"{path} is in the store {above}: choose another {flag}")


def check_folder(path: Path, inputs: Iterable[Path] = (), flag: str = "--output") -> None:
    """Checks, before there is any work, that results can go to a folder that a user names.

    Raises:
        UsageError: if it is no folder, a part of a run or a store, or holds what the command reads.
    """
    for given in inputs:
        if same(path, given) or (given.is_dir() and inside(path, given)):
            where = "" if same(path, given) else f"in {given}, "
            raise UsageError(f"{path} is {where}an input of this command: choose another {flag}")
    check_no_part(path, flag, folder=True)
    check_writable(path, flag)


def check_writable(folder: Path, flag: str = "") -> None:
    """Raises if files cannot be written to a folder, which need not exist.

    Raises:
        UsageError: if there is something that is no folder.
        LenskitError: if it is read-only.
    """
    hint = f": choose another {flag}" if flag else ""
    there = next(each for each in (folder, *folder.absolute().parents) if os.path.lexists(each))
    if not there.is_dir():
        raise UsageError(f"{there} is {'a link that leads nowhere' if not there.exists() else 'no folder'}{hint}")
    if not os.access(there, os.W_OK | os.X_OK):
        raise LenskitError(f"nothing can be written to {there}: Permission denied{hint}")


def same(a: Path, b: Path) -> bool:
    """Whether two paths are one thing, however they are spelled."""
    return a.resolve() == b.resolve() or (a.exists() and b.exists() and a.samefile(b))


def inside(path: Path, folder: Path) -> bool:
    """Whether a path is in a folder, however both are spelled."""
    return any(same(above, folder) for above in path.resolve().parents)


def in_folder(output: str, name: str) -> Path:
    """The file that an output means: itself; or in a folder, or what has no ending, one of that name."""
    path = Path(output)
    wanted = path.suffix != Path(name).suffix if path.is_dir() else bool(output) and not path.suffix
    return path / name if wanted and not is_run(path) else path


# --- What is being written or removed ---


def scratch(path: Path, ending: str) -> Path:
    """A free name beside a path for what is being made or removed: `.NAME.1a2b3c4d.ENDING`."""
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}.{ending}")


def leftovers(path: Path, ending: str) -> list[Path]:
    """Paths of the form of `scratch` that killed commands left behind."""
    known = re.compile(rf"\.{re.escape(path.name)}\.[0-9a-f]{{8}}\.{ending}")
    if not path.parent.is_dir():
        return []
    return [Path(entry.path) for entry in os.scandir(path.parent) if known.fullmatch(entry.name)]


def remove(path: Path) -> None:
    """Removes a file or a folder of lenskit's; of a link the link."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
