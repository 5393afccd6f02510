"""Filling of a store by a Dask cluster."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from lenskit.errors import LenskitError
from lenskit.store.chunk_locks import Claims
from lenskit.store.format import Format, written
from lenskit.store.formats import open_format
from lenskit.store.plan import Plan, differences
from lenskit.store.render import Renderer

TIMEOUT = 5
"""Default timeout in seconds for the connection to a scheduler."""

log = logging.getLogger("lenskit")
_working = threading.Lock()


@contextmanager
def connected(address: str, workers: int, timeout: float = TIMEOUT) -> Iterator[Any]:
    """Yield a client of a cluster.

    Args:
        address: Address of the scheduler, or `local` for a cluster on this machine.
        workers: Number of processes of a local cluster.
        timeout: Timeout in seconds for the connection to a scheduler.

    Raises:
        LenskitError: Dask is not installed, or the scheduler cannot be reached.
    """
    try:
        import dask
        from dask.distributed import Client, LocalCluster
    except ImportError:
        raise LenskitError("Dask is not installed: pip install 'lenskit-ssl[dask]'") from None
    # Without this, Dask logs each connection and disconnection.
    logging.getLogger("distributed").setLevel(logging.ERROR)
    with ExitStack() as stack:
        target: Any = address
        if address == "local":
            scratch = stack.enter_context(TemporaryDirectory(prefix="lenskit-dask-"))
            stack.enter_context(dask.config.set(temporary_directory=scratch))
            # Even without a dashboard, Dask reserves its port and warns if the port is in use.
            quiet: dict[str, Any] = {
                "dashboard_address": "127.0.0.1:0",
                "scheduler_kwargs": {"dashboard": False},
                "silence_logs": logging.CRITICAL,
            }
            target = stack.enter_context(LocalCluster(n_workers=workers, threads_per_worker=1, **quiet))
        try:
            client = stack.enter_context(Client(target, timeout=timeout, set_as_default=False))
        except (OSError, ValueError) as error:
            raise LenskitError(f"there is no Dask scheduler at {address}: {' '.join(str(error).split())}") from error
        if not client.scheduler_info()["workers"]:
            log.info("the cluster at %s has no workers yet: waiting", address)
        yield client


def fill_on_cluster(client: Any, store: Format, plan: Plan, tell: Callable[[int], object]) -> None:
    """Make the missing chunks of a store, with one task per chunk.

    If a worker is lost, another worker makes its chunk.

    Args:
        client: A client of the cluster.
        store: The created store, on a file system that the workers see at the same path.
        plan: Plan of the store.
        tell: Function that is called with the number of chunks done.

    Raises:
        LenskitError: A worker cannot make a chunk, or writes to a different disk.
    """
    from dask.distributed import as_completed

    missing = store.missing(plan)
    card = json.dumps(plan.attributes())
    futures = client.map(make_chunk, missing, format=store.name, path=str(store.path), card=card, pure=False)
    done = plan.chunks - len(missing)
    tell(done)
    for future in as_completed(futures, loop=client.loop):
        try:
            future.result()
        except Exception as error:
            if isinstance(error, LenskitError) or (isinstance(error, OSError) and error.strerror):
                raise
            reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
            raise LenskitError(f"the cluster cannot make a chunk: {reason}") from error
        future.release()
        done += 1
        tell(done)
    if still := store.missing(plan):
        raise LenskitError(
            f"the cluster has made all chunks, but {len(still)} are not at {store.path}: its workers write to a "
            "different disk; --out must be on a disk that all workers share"
        )


def make_chunk(chunk: int, *, format: str, path: str, card: str) -> None:
    """Make one chunk, if it is missing, in a worker of the cluster.

    Args:
        chunk: Number of the chunk.
        format: Name of the store's format.
        path: Path of the store.
        card: Attributes of the store's plan, as JSON.
    """
    plan, render = _prepared(card)
    store = open_format(format, Path(path))
    if not store.exists:
        raise LenskitError(
            f"a worker of the cluster does not see {path}: --out must be on a disk that all workers share"
        )
    # Rendering and claims need a single thread per process, but a worker may have several.
    with _working, ExitStack() as stack:
        claims = Claims(store.path)
        with written(store.path):
            stack.enter_context(claims.joined(store.sweep))
        stack.enter_context(claims.chunk(chunk, wait=True))
        _require_same(store, plan)
        if store.lacks(plan, chunk):
            images, values = render(chunk)
            # Without locks, another process may have replaced the store meanwhile.
            _require_same(store, plan)
            with written(store.path):
                store.write(plan, chunk, images, values)


def _require_same(store: Format, plan: Plan) -> None:
    """Check that a store still has the plan of the task."""
    held = store.card()
    for name, _, _ in differences(held, plan.attributes() | {"complete": held.get("complete")}):
        raise LenskitError(f"{store.path} was replaced by another store: it differs in {name}")


@lru_cache(maxsize=1)
def _prepared(card: str) -> tuple[Plan, Renderer]:
    plan = Plan.from_attributes(json.loads(card))
    for name, one, other in differences(plan.mode, plan.made_here().mode):
        raise LenskitError(f"a worker of the cluster differs in {name}: it has {other}, the store has {one}")
    return plan, Renderer(plan)
