"""What the tests of stores share: small plans, stores as bytes, and processes that can be killed."""

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
    """Makes plans of the toys' blobs, eight pixels wide: `plan(lenses=10, simulator={"width": "uniform(1, 2)"})`."""

    def make(simulator: dict[str, Any] | None = None, pairs: str = "lens-fixed", **settings: Any) -> Plan:
        layer = {"simulator": {"name": "blobs", "pixels": 8} | (simulator or {}), "pairs": {"name": pairs}}
        resolved = Config.resolve(layer, only=("simulator", "pairs"))
        return Plan.of(resolved, **{"lenses": 10, "chunk": 4, "seed": 5} | settings)

    return make


def tree(path: Path) -> dict[str, bytes | None]:
    """Everything in a folder (or a file), by its path: bytes of files, None for folders."""
    if path.is_file():
        return {"": path.read_bytes()}
    found = sorted(path.rglob("*"))
    return {str(file.relative_to(path)): file.read_bytes() if file.is_file() else None for file in found}


def forked(work: Callable[[], object]) -> int:
    """Runs something in a process of its own, which has all that this one has loaded, and gives its number."""
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
    """Waits for a process: its exit status, or minus the number of the signal that killed it."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def wait_until(condition: Callable[[], bool], seconds: float = 120) -> None:
    """Waits until a condition holds, and fails after some time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"still waiting after {seconds:g} s"
        time.sleep(0.01)
