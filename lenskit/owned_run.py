"""Replacement of run directories.

Files that lenskit did not write are never removed.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from lenskit.config import Config
from lenskit.destinations import check_outside, check_writable, inside
from lenskit.embeddings.files import not_of_embeddings
from lenskit.errors import LenskitError, UsageError
from lenskit.files import is_part
from lenskit.layers import read_layer
from lenskit.lock import is_held
from lenskit.ownership import LISTS, remove, strangers
from lenskit.records import load_json
from lenskit.run_files import ORIGIN, RUN, writes
from lenskit.store.formats import check_in_no_store
from lenskit.words import listed

_LOGGED = re.compile(
    r"wandb/(offline-)?run-(?P<wandb>[^/@]+)/.* | mlflow/artifacts/(?P<mlflow>[^/]+)(/.*)?", re.VERBOSE
)
"""Files that a logger wrote for one run. The name of their folder contains the identifier of the run, for W&B after a
date."""


def not_of_a_run(path: Path) -> list[str] | None:
    """Return the names of files in a run directory that lenskit did not write.

    A run directory has a configuration (`run.toml`) and a provenance (`provenance.json`). If a command was killed while
    it created or removed the run, there may be only one of the two files, or only a partial file.

    Returns:
        Paths relative to the directory; None if it is not a run directory.
    """
    if not path.is_dir():
        return None
    names = {is_part(child.name) or child.name.removesuffix(".part") for child in path.iterdir()}
    if not (_is_origin(path) or _is_own_config(path) or (names and names <= {RUN} and not (path / RUN).exists())):
        return None
    identity = {logger: _identity(path / logger / "lenskit-id") for logger in ("wandb", "mlflow")}

    def owns(name: str) -> bool:
        if writes(name):
            return not _is_logged_by_another(name, identity)
        return bool(re.fullmatch(r"evaluations/(.*/)?", name))

    foreign = strangers(path, owns, lambda folder: not_of_embeddings(folder) if folder.suffix == ".zarr" else None)
    return foreign + _marked(path)


def _identity(file: Path) -> str:
    """Return a logger's identifier of the run, or an empty text if there is none."""
    return file.read_text(errors="replace").strip() if file.is_file() else ""


def _is_logged_by_another(name: str, identity: Mapping[str, str]) -> bool:
    """Whether a file belongs to a different run of W&B or MLflow.

    MLflow may keep several runs of an experiment in this directory.
    """
    if not (logged := _LOGGED.fullmatch(name)):
        return False
    logger = "wandb" if logged["wandb"] else "mlflow"
    return not identity[logger] or logged[logger].rpartition("-" if logger == "wandb" else "/")[2] != identity[logger]


def _marked(path: Path) -> list[str]:
    """Return the name of the lock file if it has content.

    The lock file of lenskit is empty. A file with content belongs to the user.
    """
    lock = path / "run.lock"
    return [lock.name] if lock.is_file() and not lock.is_symlink() and lock.stat().st_size else []


def _is_origin(path: Path) -> bool:
    try:
        origin = load_json(path / ORIGIN)
    except LenskitError:
        return False
    return {"command", "packages", "plugins"} <= origin.keys() and _may_be_config(path)


def _may_be_config(path: Path) -> bool:
    """Whether run.toml is a configuration, or provenance.json is the only file."""
    if not (path / RUN).exists():
        return {child.name for child in path.iterdir()} == {ORIGIN}
    try:
        return {"method", "backbone", "train"} <= read_layer(path / RUN).keys()
    except LenskitError:
        return False


def _is_own_config(path: Path) -> bool:
    """Whether run.toml has exactly the text that lenskit writes.

    lenskit writes all options. A file written by hand usually lacks some.
    """
    try:
        return Config.from_toml(path / RUN).to_toml() == (path / RUN).read_text(encoding="utf-8")
    except (LenskitError, OSError, UnicodeDecodeError):
        return False


def check_run_free(path: Path, overwrite: bool = False) -> None:
    """Check that a run directory can be created at a path.

    Args:
        path: The path. An empty directory is always free.
        overwrite: Whether an existing run may be replaced.

    Raises:
        UsageError: The path exists and `overwrite` is not set. Or the path is not a run directory, is being trained, or
            holds files that lenskit did not write. Or the path is in a run or a store.
        LenskitError: The directory cannot be written.
    """
    check_outside(path)
    check_in_no_store(path)
    try:
        check_writable(path)
    except UsageError:
        if not os.path.lexists(path):
            raise LenskitError(f"the run directory {path} cannot be created: Not a directory") from None
        if path.is_symlink() and not path.exists():
            raise UsageError(f"{path} is a broken link: choose another --out") from None
    if not path.exists() or (path.is_dir() and not any(path.iterdir())):
        return
    strangers = not_of_a_run(path)
    if strangers is None:
        raise UsageError(
            f"{path} is not a run directory, so --overwrite does not replace it"
            if overwrite
            else f"{path} exists and is not a run: choose a different --out"
        )
    if not overwrite:
        hints = [f"resume it with --resume {path}"] if (path / RUN).is_file() else []
        hints += [] if strangers else ["replace it with --overwrite"]
        raise UsageError(f"{path} exists: {', '.join(['choose a different --out', *hints[:-1]])}, or {hints[-1]}")
    if is_held(path):
        raise UsageError(f"{path} is being trained by another process, so --overwrite does not replace it")
    if strangers:
        raise UsageError(
            f"{path} holds {listed(strangers, 3)}, which lenskit did not write, so --overwrite does not "
            "replace it: move your files, or choose a different --out"
        )


def check_no_input(out: Path, config: Config) -> None:
    """Check that a run directory to be replaced contains no input of the new run.

    Args:
        out: The run directory.
        config: Configuration of the new run.

    Raises:
        UsageError: An input is in the directory. The message names it.
    """
    for text in _texts(config.sections):
        if os.sep in text and os.path.exists(text) and inside(Path(text), out):
            raise UsageError(f"{text} is an input of this run, and in {out}: choose a different --out")


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, dict | list | tuple):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _texts(item)
    elif isinstance(value, str):
        yield value


def sweep(path: Path) -> None:
    """Remove partial files that killed commands left in a run.

    No other process may be training the run.
    """
    for folder in (path, path / "checkpoints", path / "encoder", path / "best"):
        for child in folder.iterdir() if folder.is_dir() else ():
            name = child.relative_to(path).as_posix()
            if (whole := is_part(child.name)) and writes(name.removesuffix(child.name) + whole):
                child.unlink(missing_ok=True)


def empty_run(path: Path) -> None:
    """Remove the contents of a run directory, if there is one.

    Lists of files are removed after their files, and `run.toml` and `provenance.json` last. If the process is killed,
    the remaining files are still recognised as a run.
    """
    if not path.is_dir():
        return
    for results in sorted(path.glob("evaluations/**/*"), key=lambda each: (each.name in LISTS, -len(each.parts))):
        if not results.is_dir() or results.is_symlink():
            results.unlink()
    for child in sorted(path.iterdir(), key=lambda child: (child.name in (RUN, ORIGIN), child.name == ORIGIN)):
        remove(child)
