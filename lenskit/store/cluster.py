"""Fills a store on a Dask cluster."""

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
"""Seconds after which a scheduler that does not answer is not there."""

log = logging.getLogger("lenskit")
_working = threading.Lock()


@contextmanager
def connected(address: str, workers: int) -> Iterator[Any]:
    """A client of a cluster.

    Args:
        address: Address of its scheduler, or `local` for a cluster on this machine.
        workers: Processes of a local cluster.

    Raises:
        LenskitError: if there is no Dask, or the scheduler cannot be reached.
    """
    try:
        import dask
        from dask.distributed import Client, LocalCluster
    except ImportError:
        raise LenskitError("Dask is not installed: pip install 'lenskit-ssl[dask]'") from None
    # Every coming and going is logged otherwise.
    logging.getLogger("distributed").setLevel(logging.ERROR)
    with ExitStack() as stack:
        target: Any = address
        if address == "local":
            scratch = stack.enter_context(TemporaryDirectory(prefix="lenskit-dask-"))
            stack.enter_context(dask.config.set(temporary_directory=scratch))
            # Without a dashboard it would still want the dashboard's port, and warn if another has it.
            quiet: dict[str, Any] = {
                "dashboard_address": "127.0.0.1:0",
                "scheduler_kwargs": {"dashboard": False},
                "silence_logs": logging.CRITICAL,
            }
            target = stack.enter_context(LocalCluster(n_workers=workers, threads_per_worker=1, **quiet))
        try:
            client = stack.enter_context(Client(target, timeout=TIMEOUT, set_as_default=False))
        except (OSError, ValueError) as error:
            raise LenskitError(f"there is no Dask scheduler at {address}: {' '.join(str(error).split())}") from error
        if not client.scheduler_info()["workers"]:
            log.info("the cluster at %s has no workers yet: waiting for some", address)
        yield client


def fill_on_cluster(client: Any, store: Format, plan: Plan, tell: Callable[[int], object]) -> None:
    """Makes what is missing, a task a chunk. A chunk whose worker is lost is made by another.

    Args:
        client: A client of the cluster.
        store: The store, begun, on a file system that the workers see at the same path.
        plan: Its plan.
        tell: Is told how many chunks are done.

    Raises:
        LenskitError: if a worker cannot make a chunk.
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
            f"the cluster has made all chunks, but {len(still)} are not at {store.path}: its workers write to another "
            "disk; --out must be on one that all share"
        )


def make_chunk(chunk: int, *, format: str, path: str, card: str) -> None:
    """Makes one chunk, if it is missing, on the worker that calls it.

    Args:
        chunk: Its number.
        format: The store's format.
        path: The store.
        card: Attributes of its plan, as JSON.
    """
    plan, render = _prepared(card)
    store = open_format(format, Path(path))
    if not store.exists:
        raise LenskitError(f"a worker of the cluster does not see {path}: --out must be on a disk that all share")
    # One thread a process, however many the worker has: so it is with rendering, and with the claims of a process.
    with _working, ExitStack() as stack:
        claims = Claims(store.path)
        with written(store.path):
            stack.enter_context(claims.joined(store.sweep))
        stack.enter_context(claims.chunk(chunk, wait=True))
        _require_same(store, plan)
        if store.lacks(plan, chunk):
            images, values = render(chunk)
            # Where there are no locks, it may have been replaced meanwhile.
            _require_same(store, plan)
            with written(store.path):
                store.write(plan, chunk, images, values)


def _require_same(store: Format, plan: Plan) -> None:
    """Checks that a store is still the one that its task was made for."""
    held = store.card()
    for name, _, _ in differences(held, plan.attributes() | {"complete": held.get("complete")}):
        raise LenskitError(f"{store.path} is another store by now: it differs in {name}")


@lru_cache(maxsize=1)
def _prepared(card: str) -> tuple[Plan, Renderer]:
    plan = Plan.from_attributes(json.loads(card))
    for name, one, other in differences(plan.mode, plan.made_here().mode):
        raise LenskitError(f"a worker of the cluster differs in {name}: it has {other}, the store {one}")
    return plan, Renderer(plan)
