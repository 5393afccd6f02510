"""Filling a store on a Dask cluster."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from lenskit.errors import LenskitError
from lenskit.store.cluster import make_chunk
from lenskit.store.plan import Plan
from lenskit.store.simulate import simulate

from .conftest import tree

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
        with Client(cluster) as client:
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
def test_an_unreachable_cluster_is_one_line_within_seconds(
    plan: Callable[..., Plan], tmp_path: Path, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lenskit.store.cluster.TIMEOUT", 1)
    began = time.monotonic()
    with pytest.raises(LenskitError, match=f"there is no Dask scheduler at {address}: ") as raised:
        simulate(plan(), tmp_path / "pairs.zarr", dask=address)
    assert "\n" not in str(raised.value)
    assert time.monotonic() - began < 60
    assert list(tmp_path.iterdir()) == []


def test_a_worker_says_what_hinders_it(plan: Callable[..., Plan], tmp_path: Path) -> None:
    import json

    wanted = plan()
    card = json.dumps(wanted.attributes())
    with pytest.raises(LenskitError, match="a worker of the cluster does not see .*pairs.zarr: --out must be on"):
        make_chunk(0, format="zarr", path=str(tmp_path / "pairs.zarr"), card=card)
    wanted.mode["instructions"] = "ABACUS"
    with pytest.raises(LenskitError, match="a worker of the cluster differs in instructions: it has .*, the store ABA"):
        make_chunk(0, format="zarr", path=str(tmp_path / "pairs.zarr"), card=json.dumps(wanted.attributes()))
