"""Claims of several processes on one store."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from lenskit.store.chunk_locks import Claims

from .conftest import ended, forked, wait_until


def holding(store: Path, chunk: int) -> int:
    """Start a process that holds a chunk of a store until it is killed."""

    def hold() -> None:
        claims = Claims(store)
        with claims.joined(lambda: None), claims.chunk(chunk) as granted:
            assert granted
            store.with_name("ready").touch()
            time.sleep(60)

    pid = forked(hold)
    wait_until(store.with_name("ready").exists)
    return pid


def test_a_chunk_is_granted_to_one_process_until_that_ends(tmp_path: Path) -> None:
    store = tmp_path / "pairs.zarr"
    fellow = holding(store, 3)
    claims, swept = Claims(store), []
    with claims.joined(lambda: swept.append(1)):
        for chunk, free in ((2, True), (3, False), (4, True)):
            with claims.chunk(chunk) as granted:
                assert granted is free
        with claims.alone() as alone:
            assert not alone
        os.kill(fellow, signal.SIGKILL)
        with claims.chunk(3, wait=True) as granted:
            assert granted
        ended(fellow)
        with claims.alone() as alone:
            assert alone
        assert not swept
    assert swept == [1]
    assert not claims.path.exists()


def test_only_the_last_sweeps_and_removes_the_lock_file(tmp_path: Path) -> None:
    store = tmp_path / "pairs.zarr"
    fellow = holding(store, 0)
    swept: list[int] = []
    with Claims(store).joined(lambda: swept.append(1)):
        pass
    assert not swept
    assert Claims(store).path.exists()
    os.kill(fellow, signal.SIGKILL)
    ended(fellow)
    with Claims(store).joined(lambda: swept.append(2)):
        pass
    assert swept == [2]
    assert not Claims(store).path.exists()


@pytest.mark.slow
def test_whoever_opens_a_lock_file_that_is_then_removed_takes_the_new_one(tmp_path: Path) -> None:
    """No two processes are ever alone at the same time.

    Processes join and leave at once, and each removes the lock file if it can.
    """
    store = tmp_path / "pairs.zarr"

    def work() -> None:
        for _ in range(100):
            claims = Claims(store)
            with claims.joined(lambda: None), claims.chunk(0, wait=True):
                os.close(os.open(tmp_path / "inside", os.O_CREAT | os.O_EXCL))
                (tmp_path / "inside").unlink()

    assert [ended(worker) for worker in [forked(work) for _ in range(4)]] == [0, 0, 0, 0]
    assert list(tmp_path.iterdir()) == []


def test_an_error_gives_everything_back(tmp_path: Path) -> None:
    claims = Claims(tmp_path / "pairs.zarr")

    def work() -> None:
        with claims.joined(lambda: None), claims.setup(), claims.chunk(1):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        work()
    assert not claims.path.exists()
    with claims.joined(lambda: None), claims.chunk(1) as granted:
        assert granted
