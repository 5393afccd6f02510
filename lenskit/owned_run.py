"""What a run directory may hold, and when it may be replaced: files of others are never removed."""

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
"""Files that loggers keep of single runs, in folders named by the run's identifier: W&B's begin with a date."""


def not_of_a_run(path: Path) -> list[str] | None:
    """Names of what is in a run directory and lenskit did not write; None if it is no run directory.

    A run has its configuration and where it comes from; one that was killed while it was made or removed, one of the
    two, or only the beginning of one.
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
    """Identifier that a logger knows the run by, empty if it has none."""
    return file.read_text(errors="replace").strip() if file.is_file() else ""


def _is_logged_by_another(name: str, identity: Mapping[str, str]) -> bool:
    """Whether an entry belongs to another run of a logger: of W&B, or of an experiment that MLflow keeps here."""
    if not (logged := _LOGGED.fullmatch(name)):
        return False
    logger = "wandb" if logged["wandb"] else "mlflow"
    return not identity[logger] or logged[logger].rpartition("-" if logger == "wandb" else "/")[2] != identity[logger]


def _marked(path: Path) -> list[str]:
    """A lock that is not empty is nobody's but the user's."""
    lock = path / "run.lock"
    return [lock.name] if lock.is_file() and not lock.is_symlink() and lock.stat().st_size else []


def _is_origin(path: Path) -> bool:
    try:
        origin = load_json(path / ORIGIN)
    except LenskitError:
        return False
    return {"command", "packages", "plugins"} <= origin.keys() and _may_be_config(path)


def _may_be_config(path: Path) -> bool:
    """Whether run.toml is a configuration, or was removed just before the command was killed."""
    if not (path / RUN).exists():
        return {child.name for child in path.iterdir()} == {ORIGIN}
    try:
        return {"method", "backbone", "train"} <= read_layer(path / RUN).keys()
    except LenskitError:
        return False


def _is_own_config(path: Path) -> bool:
    """Whether run.toml is as lenskit writes it, which nobody does by hand: every option of every section is there."""
    try:
        return Config.from_toml(path / RUN).to_toml() == (path / RUN).read_text(encoding="utf-8")
    except (LenskitError, OSError, UnicodeDecodeError):
        return False


def check_run_free(path: Path, overwrite: bool = False) -> None:
    """Checks that a run directory can be made at a path.

    Raises:
        UsageError: if something is there already and `overwrite` is not set; or is set, and what is there is no
            run, is being trained, or holds what lenskit did not write; or the path is in a run or a store.
        LenskitError: if nothing can be written there.
    """
    check_outside(path)
    check_in_no_store(path)
    try:
        check_writable(path)
    except UsageError:
        if not os.path.lexists(path):
            raise LenskitError(f"the run directory {path} cannot be made: Not a directory") from None
        if path.is_symlink() and not path.exists():
            raise UsageError(f"{path} is a link that leads nowhere: choose another --out") from None
    if not path.exists() or (path.is_dir() and not any(path.iterdir())):
        return
    strangers = not_of_a_run(path)
    if strangers is None:
        raise UsageError(
            f"{path} is no run directory, so --overwrite leaves it alone"
            if overwrite
            else f"{path} exists and is no run: choose another --out"
        )
    if not overwrite:
        hints = [f"go on with --resume {path}"] if (path / RUN).is_file() else []
        hints += [] if strangers else ["replace it with --overwrite"]
        raise UsageError(f"{path} exists: {', '.join(['choose another --out', *hints[:-1]])}, or {hints[-1]}")
    if is_held(path):
        raise UsageError(f"{path} is being trained by another process, so --overwrite leaves it alone")
    if strangers:
        raise UsageError(
            f"{path} holds {listed(strangers, 3)}, which lenskit did not write there, so --overwrite leaves it "
            "alone: move what is yours, or choose another --out"
        )


def check_no_input(out: Path, config: Config) -> None:
    """Checks that nothing which a configuration reads is in the run directory that a new one shall replace.

    Raises:
        UsageError: naming it.
    """
    for text in _texts(config.sections):
        if os.sep in text and os.path.exists(text) and inside(Path(text), out):
            raise UsageError(f"{text} is an input of this run, and in {out}: choose another --out")


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, dict | list | tuple):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _texts(item)
    elif isinstance(value, str):
        yield value


def sweep(path: Path) -> None:
    """Removes what commands that were killed began to write into a run, which nobody else is training."""
    for folder in (path, path / "checkpoints", path / "encoder", path / "best"):
        for child in folder.iterdir() if folder.is_dir() else ():
            name = child.relative_to(path).as_posix()
            if (whole := is_part(child.name)) and writes(name.removesuffix(child.name) + whole):
                child.unlink(missing_ok=True)


def empty_run(path: Path) -> None:
    """Remove the contents of a run directory, if there is one: lists of files after the files, marks of a run last."""
    if not path.is_dir():
        return
    for results in sorted(path.glob("evaluations/**/*"), key=lambda each: (each.name in LISTS, -len(each.parts))):
        if not results.is_dir() or results.is_symlink():
            results.unlink()
    for child in sorted(path.iterdir(), key=lambda child: (child.name in (RUN, ORIGIN), child.name == ORIGIN)):
        remove(child)
