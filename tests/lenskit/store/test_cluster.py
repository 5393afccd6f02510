"""Filling a store on a Dask cluster."""

from __future__ import annotations

import json
import os
import signal
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest

from lenskit.errors import LenskitError
from lenskit.store.chunk_locks import Claims
from lenskit.store.cluster import connected, make_chunk
from lenskit.store.formats import open_format
from lenskit.store.plan import Plan
from lenskit.store.simulate import begin, simulate
from lenskit.store.store import Store

from .conftest import ended, forked, tree

pytest.importorskip("distributed")


@pytest.mark.slow
def test_a_worker_that_is_killed_loses_nothing(plan: Callable[..., Plan], tmp_path: Path) -> None:
    import dask
    from dask.distributed import Client, LocalCluster

    wanted = plan(lenses=400)
    simulate(wanted, tmp_path / "whole" / "pairs.zarr")
    victims: list[int] = []
    with (
        dask.config.set(temporary_directory=str(tmp_path / "scratch")),
        LocalCluster(n_workers=2, threads_per_worker=2, dashboard_address=None, silence_logs=50) as cluster,
    ):
        with Client(cluster, set_as_default=False) as client:
            workers = list(client.run(os.getpid).values())

        def kill_one(done: int) -> None:
            if done > 10 and not victims:
                victims.append(workers[0])
                os.kill(workers[0], signal.SIGKILL)

        out = tmp_path / "killed" / "pairs.zarr"
        simulate(wanted, out, dask=cluster.scheduler_address, tell=kill_one)
    assert victims
    assert tree(tmp_path / "killed") == tree(tmp_path / "whole")


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:9", "127.0.0.1:9", "nowhere", "nonsense://x"])
def test_an_unreachable_cluster_is_one_line(address: str) -> None:
    with (
        pytest.raises(LenskitError, match=f"there is no Dask scheduler at {address}: ") as raised,
        connected(address, 1, timeout=1),
    ):
        pass
    assert "\n" not in str(raised.value)


def test_an_unreachable_cluster_leaves_no_files(plan: Callable[..., Plan], tmp_path: Path) -> None:
    with pytest.raises(LenskitError, match="there is no Dask scheduler at nonsense://x: "):
        simulate(plan(), tmp_path / "pairs.zarr", dask="nonsense://x")
    assert list(tmp_path.iterdir()) == []


def test_a_task_never_writes_into_another_store(plan: Callable[..., Plan], tmp_path: Path) -> None:
    """A task of a stopped command runs late, when another store has replaced its own."""
    out, wanted, other = tmp_path / "pairs.zarr", plan(), plan({"width": "1.5"})
    claims = Claims(out)
    with claims.joined(lambda: None):
        begin(open_format("zarr", out), other, claims, overwrite=False)
    before = tree(tmp_path)
    with pytest.raises(
        LenskitError, match="was replaced by another store: it differs in configuration.simulator.width"
    ):
        make_chunk(0, format="zarr", path=str(out), card=json.dumps(wanted.attributes()))
    assert tree(tmp_path) == before
    make_chunk(0, format="zarr", path=str(out), card=json.dumps(other.attributes()))
    assert Store(out).missing() == [1, 2]


def test_a_task_waits_for_whoever_makes_its_chunk(plan: Callable[..., Plan], tmp_path: Path) -> None:
    out, wanted = tmp_path / "pairs.zarr", plan()
    claims = Claims(out)
    with claims.joined(lambda: None):
        begin(open_format("zarr", out), wanted, claims, overwrite=False)
        with claims.chunk(0):
            task = forked(lambda: make_chunk(0, format="zarr", path=str(out), card=json.dumps(wanted.attributes())))
            time.sleep(0.5)
            assert Store(out).missing() == [0, 1, 2]
        assert ended(task) == 0
        assert Store(out).missing() == [1, 2]


@pytest.mark.slow
def test_two_local_clusters_at_once_say_nothing_and_make_what_one_process_would(
    plan: Callable[..., Plan], tmp_path: Path
) -> None:
    simulate(plan(), tmp_path / "whole.zarr")
    with warnings.catch_warnings(action="error", category=UserWarning), connected("local", 1):
        simulate(plan(), tmp_path / "pairs.zarr", dask="local", workers=1)
    assert tree(tmp_path / "pairs.zarr") == tree(tmp_path / "whole.zarr")


def test_a_worker_says_what_hinders_it(plan: Callable[..., Plan], tmp_path: Path) -> None:
    wanted = plan()
    card = json.dumps(wanted.attributes())
    with pytest.raises(LenskitError, match="a worker of the cluster does not see .*pairs.zarr: --out must be on"):
        make_chunk(0, format="zarr", path=str(tmp_path / "pairs.zarr"), card=card)
    wanted.mode["instructions"] = "ABACUS"
    with pytest.raises(
        LenskitError, match="a worker of the cluster differs in instructions: it has .*, the store has ABA"
    ):
        make_chunk(0, format="zarr", path=str(tmp_path / "pairs.zarr"), card=json.dumps(wanted.attributes()))
