"""Fixtures of the tests of stores: small plans, stores as bytes, processes."""

from __future__ import annotations

import os
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lenskit.config import Config
from lenskit.store.plan import Plan


@pytest.fixture
def plan() -> Callable[..., Plan]:
    """Make plans of the toys' blobs, eight pixels wide.

    For example `plan(lenses=10, simulator={"width": "uniform(1, 2)"})`.
    """

    def make(simulator: dict[str, Any] | None = None, pairs: str = "lens-fixed", **settings: Any) -> Plan:
        layer = {"simulator": {"name": "blobs", "pixels": 8} | (simulator or {}), "pairs": {"name": pairs}}
        resolved = Config.resolve(layer, only=("simulator", "pairs"))
        return Plan.of(resolved, **{"lenses": 10, "chunk": 4, "seed": 5} | settings)

    return make


def tree(path: Path) -> dict[str, bytes | None]:
    """Return all files of a folder (or a file) as bytes by path; folders are None."""
    if path.is_file():
        return {"": path.read_bytes()}
    found = sorted(path.rglob("*"))
    return {str(file.relative_to(path)): file.read_bytes() if file.is_file() else None for file in found}


def forked(work: Callable[[], object]) -> int:
    """Call a function in a forked process and return the number of the process."""
    pid = os.fork()
    if pid:
        return pid
    try:
        work()
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def ended(pid: int) -> int:
    """Wait for a process and return its exit status.

    The status is minus the number of a signal that killed it.
    """
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def wait_until(condition: Callable[[], bool], seconds: float = 120) -> None:
    """Wait until a condition holds, and fail after some time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"still waiting after {seconds:g} s"
        time.sleep(0.01)
