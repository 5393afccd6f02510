"""Preparation of parts in this process and in helper processes."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from lenskit.errors import LenskitError, UsageError
from lenskit_lensing.sources.preparation import Prepared, each_prepared, processes_for
from lenskit_lensing.sources.stamp_folder import SomeFiles


def disc(scale: float, size: int = 40) -> np.ndarray:
    offset = np.arange(size) - (size - 1) / 2
    image = np.exp(-np.hypot(offset, offset[:, None]) / scale)
    return np.where(image > 0.01, image, 0)


@pytest.fixture
def parts(tmp_path: Path) -> list[SomeFiles]:
    """Seven parts of one to three clean stamps each."""
    paths = [tmp_path / f"{i}.npy" for i in range(7)]
    for i, path in enumerate(paths):
        np.save(path, np.stack([disc(2 + i / 2 + j / 8) for j in range(1 + i % 3)]))
    return [SomeFiles((path,), True, 32) for path in paths]


def together(results: list[Prepared]) -> list[tuple[int, float, bytes]]:
    return [
        (row, radius, image.tobytes())
        for result in results
        for row, radius, image in zip(result.rows, result.half_light, result.images, strict=True)
    ]


@pytest.mark.slow
def test_any_number_of_processes_gives_the_same(parts: list[SomeFiles]) -> None:
    alone = list(each_prepared(parts, 1))
    assert [len(result.images) for result in alone] == [1, 2, 3, 1, 2, 3, 1]
    assert together(list(each_prepared(parts, 2))) == together(alone)


@pytest.mark.slow
def test_processes_are_begun_where_there_is_no_main_module_and_from_daemons(parts: list[SomeFiles]) -> None:
    """Imitate a script without `if __name__`, and a worker of a cluster or loader."""
    script = f"""
import multiprocessing
from pathlib import PosixPath, WindowsPath
from lenskit_lensing.sources.preparation import each_prepared
from lenskit_lensing.sources.stamp_folder import SomeFiles
def prepare():
    print(len(list(each_prepared({parts!r}, 2))), "parts", flush=True)
worker = multiprocessing.get_context("fork").Process(target=prepare, daemon=True)
worker.start()
worker.join()
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (done.stdout, done.returncode) == ("7 parts\n", 0), done.stderr


@pytest.mark.slow
def test_a_mistake_of_the_users_is_told_as_such(parts: list[SomeFiles], tmp_path: Path) -> None:
    (tmp_path / "3.npy").write_bytes(b"no array")
    with pytest.raises(UsageError, match=r"3.npy: no image can be read from it"):
        list(each_prepared(parts, 2))


@pytest.mark.slow
def test_a_killed_process_is_one_line(parts: list[SomeFiles], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = tmp_path / "killed_part.py"
    module.write_text(
        "import os, signal\n"
        "class Killed:\n"
        "    def __len__(self): return 1\n"
        "    def __call__(self): os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    Killed = importlib.import_module("killed_part").Killed
    with pytest.raises(LenskitError, match="a process that prepared stamps ended too early") as error:
        list(each_prepared([*parts, Killed()], 2))
    assert "\n" not in str(error.value)


def test_few_stamps_are_not_worth_another_process() -> None:
    assert processes_for(0) == processes_for(100) == 1
    assert 1 <= processes_for(10**6) <= (os.cpu_count() or 1)


@pytest.mark.slow
def test_helpers_load_no_torch() -> None:
    """With torch, each helper would take half a gigabyte, and seconds to start."""
    program = (
        "import sys; from lenskit_lensing.sources import cosmos, preparation, stamp_folder;"
        " sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
