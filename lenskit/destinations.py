"""Output paths of a command, which are checked before any work."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Collection, Iterable
from itertools import count
from pathlib import Path

from lenskit.asked import asked
from lenskit.errors import LenskitError, UsageError
from lenskit.ownership import LISTS, RESULTS, is_stamped, listed_in, object_in
from lenskit.run_files import RUN, is_run, writes
from lenskit.words import listed

log = logging.getLogger("lenskit")


def check_free(folder: Path, names: Collection[str]) -> None:
    """Check that results can be written to a folder.

    Args:
        folder: The folder, which need not exist.
        names: Names of the result files. Files of an earlier result of the same evaluation are replaced.

    Raises:
        UsageError: The path is not a folder, or a result file would replace a folder or an input of the command.
            Without `--overwrite` also: the folder has a result with different settings, data or runs, or a file that
            the evaluation did not write and would replace.
        LenskitError: The folder is read-only.
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
    other = str(object_in(folder / RESULTS).get("evaluation") or wish.evaluation)
    if wish.evaluation and other != wish.evaluation:
        raise UsageError(f"{folder} holds results of {other}: choose another --output, or use --overwrite")
    if holds_other(folder):
        raise UsageError(
            f"{folder} holds a result of {wish.evaluation} with different settings, data or runs: choose another "
            "--output, or replace it with --overwrite"
        )
    own = listed_in(folder, wish.evaluation)
    if taken := [name for name in names if name not in own and os.path.lexists(folder / name)]:
        raise UsageError(
            f"{folder} holds {listed(taken, 3)}, which {wish.evaluation or 'this evaluation'} did not write: move "
            "your files, choose another --output, or replace it with --overwrite"
        )


def holds_other(folder: Path) -> bool:
    """Whether a folder has a result with different settings, data or runs.

    Earlier versions did not record these, so their results count as different.
    """
    wish = asked()
    return bool(wish.identity) and any(
        listed_in(folder, wish.evaluation, [name]) and object_in(folder / name).get("asked") != wish.identity
        for name in LISTS
    )


def free_place(folder: Path, is_other: Callable[[Path], bool] = holds_other) -> Path:
    """Return a folder for a result, with a number if it has a different result.

    Args:
        folder: The folder. It is returned unchanged if the command overwrites.
        is_other: Function that returns whether a folder has a different result.
    """
    if asked().overwrite or not is_other(folder):
        return folder
    places = (folder.with_name(f"{folder.name}-{number}") for number in count(2))
    place = next(each for each in places if not is_other(each))
    told = "%s has different settings, data or runs and is kept: writing to %s; use --overwrite to replace the first"
    log.info(told, folder, place)
    return place


def working_folder(judged: Path, evaluation: str, name: str = "") -> Path:
    """Return the folder of results that belong to no run, in the working directory.

    It is `NAME-evaluations/EVALUATION`, with a number if the folder has results of a different file of that name.

    Args:
        judged: File or folder to evaluate.
        evaluation: Name of the evaluation.
        name: Name to use in place of the file name.
    """
    stem = name or judged.name
    for number in count(1):
        name = f"{stem}-{number}-evaluations" if number > 1 else f"{stem}-evaluations"
        folder = Path.cwd() / name / evaluation
        of = object_in(folder / RESULTS).get("of")
        if not isinstance(of, list) or not of or str(judged.resolve()) in of:
            return folder
    raise AssertionError


def check_output(
    path: Path,
    *,
    overwrite: bool | None = None,
    inputs: Iterable[Path] | None = None,
    ours: Callable[[Path], bool] = is_stamped,
    flag: str = "--output",
) -> None:
    """Check that a file can be written to a path of the user.

    Args:
        path: The file.
        overwrite: Whether to replace a file that this verb did not write. An input, and a part of a run, are never
            replaced. The default is the option of the current command.
        inputs: Inputs of the command; by default the inputs of the current evaluation.
        ours: Whether this verb wrote an existing file.
        flag: Option that sets the path, for messages.

    Raises:
        UsageError: An existing file may not be replaced.
        LenskitError: The file cannot be written.
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
    """Check that a path is not a part of a run or a store, and not inside one.

    Args:
        path: The path.
        flag: Option that sets the path, for messages.
        folder: Whether the path is a folder to write files to, which may not be a store either.

    Raises:
        UsageError: The path belongs to a run or a store, which the message names.
    """
    for absolute in dict.fromkeys([Path(os.path.abspath(path)), path.resolve()]):
        for above in (absolute, *absolute.parents):
            name = absolute.relative_to(above).as_posix()
            there = absolute.is_file() and name.partition("/")[0] in ("evaluations", "export")
            part = name == "." or any(map(writes, (name, name.lower(), f"{name}/")))
            part = part or name.partition("/")[0].lower() in ("encoder", "best", "checkpoints")
            if (part or there) and is_run(above):
                raise UsageError(f"{path} is a part of the run {above}: choose another {flag}")
            if (folder or above != absolute) and object_in(above / "zarr.json").get("node_type"):
                raise UsageError(f"{path} is in the store {above}: choose another {flag}")


def check_outside(path: Path, flag: str = "--out") -> None:
    """Check that the path of a new run or store is not inside a run or a Zarr group.

    Args:
        path: The path.
        flag: Option that sets the path, for messages.

    Raises:
        UsageError: The path is inside one; the message names the run or the group.
    """
    for absolute in dict.fromkeys([Path(os.path.abspath(path)), path.resolve()]):
        for above in absolute.parents:
            # The folder `best` belongs to the run, even if the run is not complete.
            if is_run(above) or (absolute == above / "best" and (above / RUN).is_file()):
                raise UsageError(f"{path} is a part of the run {above}: choose another {flag}")
            if object_in(above / "zarr.json").get("node_type"):
                raise UsageError(f"{path} is in the store {above}: choose another {flag}")


def check_folder(path: Path, inputs: Iterable[Path] = (), flag: str = "--output") -> None:
    """Check that results can be written to a folder of the user.

    Raises:
        UsageError: The path is not a folder, is a part of a run or a store, or is an input of the command or in one.
    """
    for given in inputs:
        if same(path, given) or (given.is_dir() and inside(path, given)):
            where = "" if same(path, given) else f"in {given}, "
            raise UsageError(f"{path} is {where}an input of this command: choose another {flag}")
    check_no_part(path, flag, folder=True)
    check_writable(path, flag)


def check_writable(folder: Path, flag: str = "") -> None:
    """Check that files can be written to a folder, which need not exist.

    Raises:
        UsageError: The path exists and is not a folder.
        LenskitError: The folder is read-only.
    """
    hint = f": choose another {flag}" if flag else ""
    there = next(each for each in (folder, *folder.absolute().parents) if os.path.lexists(each))
    if not there.is_dir():
        raise UsageError(f"{there} is {'a broken link' if not there.exists() else 'no folder'}{hint}")
    if not os.access(there, os.W_OK | os.X_OK):
        raise LenskitError(f"nothing can be written to {there}: Permission denied{hint}")


def same(a: Path, b: Path) -> bool:
    """Whether two paths lead to the same file, also through links."""
    return a.resolve() == b.resolve() or (a.exists() and b.exists() and a.samefile(b))


def inside(path: Path, folder: Path) -> bool:
    """Whether a path is in a folder, also through links."""
    return any(same(above, folder) for above in path.resolve().parents)


def in_folder(output: str, name: str) -> Path:
    """Return the output file: the path itself, or the file `name` in that folder.

    A new path without extension counts as a folder. A run, and an existing folder with the extension of `name`, are
    returned unchanged.
    """
    path = Path(output)
    wanted = path.suffix != Path(name).suffix if path.is_dir() else bool(output) and not path.suffix
    return path / name if wanted and not is_run(path) else path
