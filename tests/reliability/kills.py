"""Commands killed before a file operation, which a second command must finish.

The files in the end must equal those of a command that was not killed.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
from process import Ended, forked

TRAIN = ["train", "--recipe", "toys", "--set", "train.lenses=32", "--set", "train.checkpoint_every=1"]
SIMULATE = ["simulate", "--recipe", "toys", "--lenses", "9", "--chunk", "3", "--workers", "1"]

Files = dict[str, bytes]


@dataclass(frozen=True)
class Scenario:
    """Command that is killed.

    Attributes:
        name: Name in the table.
        command: Command line, on the desk of `world.build`.
        out: File or folder that the command writes.
        finish: Function of the output path that returns the command line after a kill; by default `command`.
        compared: Ending of the names of files that must be equal in the end.
    """

    name: str
    command: list[str]
    out: str
    finish: Callable[[Path], list[str]] | None = None
    compared: str = ""


def _resumed(out: Path) -> list[str]:
    """Return the command after a killed training: resume a run, or start again."""
    if (out / "run.toml").is_file():
        return ["train", "--resume", f"out/{out.name}"]
    return [*TRAIN, "--out", f"out/{out.name}", *(["--overwrite"] if out.exists() else [])]


EMBED = ["embed", "made/run", "--data", "mine/images", "-o", "out/f.zarr"]
RENDER = ["render", "mine/lenses.csv", "--simulator", "blobs", "-o", "out/pngs"]

SCENARIOS = (
    Scenario("train", [*TRAIN, "--out", "out/run"], "out/run", _resumed, "model.safetensors"),
    Scenario(
        "train --overwrite",
        [*TRAIN, "--out", "made/run", "--overwrite"],
        "made/run",
        lambda out: [*TRAIN, "--out", "made/run", "--overwrite"],
        "model.safetensors",
    ),
    Scenario("simulate, zarr", [*SIMULATE, "--out", "out/store.zarr"], "out/store.zarr"),
    Scenario("simulate, fits", [*SIMULATE, "--format", "fits", "--out", "out/fits"], "out/fits"),
    Scenario("simulate, hdf5", [*SIMULATE, "--out", "out/store.h5"], "out/store.h5"),
    Scenario("render, png", RENDER, "out/pngs", lambda out: [*RENDER, "--overwrite"], ".png"),
    Scenario("embed, zarr", EMBED, "out/f.zarr", lambda out: [*EMBED, "--overwrite"], "0"),
    Scenario("crowding", ["crowding", "made/run", "--lenses", "16"], "made/run/evaluations", compared="results.json"),
)


@dataclass
class Tally:
    """Outcome of the kills of a scenario."""

    kills: int
    operations: int
    faults: list[str]


def try_kills(desk: Path, count: int, seed: int) -> dict[str, Tally]:
    """Kill the command of each scenario equally often, before random operations.

    Returns:
        The results by the name of the scenario.
    """
    rng, tallies = random.Random(seed), {}
    for scenario, kills in zip(SCENARIOS, _shares(count, len(SCENARIOS)), strict=True):
        if kills:
            tallies[scenario.name] = _try(desk, scenario, kills, rng)
    return tallies


def _shares(count: int, parts: int) -> list[int]:
    return [count // parts + (number < count % parts) for number in range(parts)]


def _try(desk: Path, scenario: Scenario, kills: int, rng: random.Random) -> Tally:
    out = desk / scenario.out
    _clear(desk)
    counter = desk.parent / "operations"
    whole = _run(desk, scenario.command, count_to=counter, watched=desk)
    if whole.status:
        return Tally(0, 0, [f"{scenario.name}: status {whole.status} without a kill: {whole.err[-300:]}"])
    operations, wanted = int(counter.read_text()), _files(out, scenario.compared)
    tally = Tally(kills, operations, [])
    for _ in range(kills):
        _clear(desk)
        number = rng.randrange(operations)
        killed = _run(desk, scenario.command, kill_before=number, watched=desk)
        if killed.status != -signal.SIGKILL:
            tally.faults.append(f"{scenario.name}: operation {number} never came: status {killed.status}")
            continue
        finish = scenario.finish(out) if scenario.finish else scenario.command
        ended = _run(desk, finish)
        if ended.status:
            tally.faults.append(
                f"{scenario.name}, killed before operation {number}: {finish} ended with {ended.status}: "
                f"{ended.err[-300:]}"
            )
        elif _files(out, scenario.compared) != wanted:
            tally.faults.append(f"{scenario.name}, killed before operation {number}: another outcome")
    _clear(desk)
    return tally


def _clear(desk: Path) -> None:
    shutil.rmtree(desk / "out", ignore_errors=True)
    (desk / "out").mkdir()
    shutil.rmtree(desk / "made")
    shutil.copytree(desk.parent / "pristine", desk / "made", symlinks=True)


def _files(out: Path, ending: str) -> Files:
    """Return the compared files by their path; none if the folder does not exist."""
    files = [out] if out.is_file() else sorted(path for path in out.rglob("*") if path.is_file())
    return {str(path.relative_to(out.parent)): _content(path) for path in files if path.name.endswith(ending)}


def _content(path: Path) -> bytes:
    """Return the bytes of a file, or of the arrays of an HDF5 file.

    Old versions of HDF5 leave random bytes in the padding.
    """
    if path.suffix != ".h5":
        return path.read_bytes()
    with h5py.File(path) as file:
        return b"".join(name.encode() + array[()].tobytes() for name, array in sorted(file.items()))


def _run(
    desk: Path,
    command: list[str],
    *,
    kill_before: int | None = None,
    count_to: Path | None = None,
    watched: Path | None = None,
) -> Ended:
    """Run a command, and kill it before an operation or count its operations.

    Args:
        desk: Working directory.
        command: The command line.
        kill_before: Number of the operation on files below `watched` before which the process is killed.
        count_to: File for the number of operations.
        watched: Folder of the operations that count.
    """

    def work() -> int:
        from lenskit.cli.main import run

        sys.argv = ["lenskit", *command]
        seen = 0

        def hook(event: str, arguments: tuple[Any, ...]) -> None:
            nonlocal seen
            if _writes(event, arguments) and str(watched) in os.path.abspath(os.fsdecode(arguments[0])):
                if seen == kill_before:
                    os.kill(os.getpid(), signal.SIGKILL)
                seen += 1

        if watched:
            sys.addaudithook(hook)
        status = run(command)
        if count_to:
            total = seen
            count_to.write_text(str(total))
        return status

    return forked(work, desk, seconds=120)


def _writes(event: str, arguments: tuple[Any, ...]) -> bool:
    """Whether an audit event is an operation on a path that changes files."""
    if not arguments or not isinstance(arguments[0], (str, bytes, os.PathLike)):
        return False
    if event == "open":
        return isinstance(arguments[2], int) and bool(arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))
    return event in ("os.rename", "os.remove", "os.rmdir", "os.mkdir")
