"""Simulates lenses to disk.

Every process that works on a store does the same: it looks which chunks are missing, claims one, renders it, writes it,
and looks again. So a run that was killed is gone on with by the same command, and two commands share the work.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from lenskit.errors import LenskitError, UsageError
from lenskit.store.claims import Claims
from lenskit.store.cluster import connected, fill_on_cluster
from lenskit.store.formats import Format, open_format
from lenskit.store.plan import Plan, differences

Tell = Callable[[int], object]
"""Is told how many chunks are done."""


def simulate(
    plan: Plan,
    out: Path | str,
    *,
    format: str = "zarr",
    workers: int = 1,
    dask: str | None = None,
    overwrite: bool = False,
    tell: Tell = lambda done: None,
) -> None:
    """Makes a store, or what of it is missing.

    Args:
        plan: What it shall hold.
        out: Where.
        format: `zarr`, `fits` or `hdf5`.
        workers: Processes; this one is the first of them.
        dask: Address of a Dask scheduler whose workers do the work, or `local` for a cluster of `workers` processes.
        overwrite: Whether a store of another configuration, version or mode is replaced.
        tell: Is called with the number of chunks that are done, now and then.

    Raises:
        UsageError: if there is something else at `out`, or a store that differs from the plan.
        LenskitError: if the disk is full or cannot be written, or the cluster cannot be reached.
    """
    store = open_format(format, Path(out))
    with ExitStack() as stack:
        stack.enter_context(_faults_told(store))
        # A cluster that cannot be reached shall leave nothing behind.
        client = stack.enter_context(connected(dask, workers)) if dask else None
        store.path.parent.mkdir(parents=True, exist_ok=True)
        claims = Claims(store.path)
        stack.enter_context(claims.joined(store.sweep))
        with claims.setup():
            begin(store, plan, claims, overwrite)
        if client:
            fill_on_cluster(client, store, plan, tell)
        else:
            with _helpers(store, plan, workers - 1):
                fill(store, plan, claims, tell)
        with claims.setup():
            store.finish(plan)


def begin(store: Format, plan: Plan, claims: Claims, overwrite: bool) -> None:
    """Makes the store, or checks that the one that is there is the one asked for, and sweeps it."""
    if not store.exists and not store.blank:
        raise UsageError(f"{store.path} exists and is no {store.name} store of simulated pairs: choose another --out")
    with claims.alone() as alone:
        try:
            if store.exists:
                check_same(store, plan)
        except UsageError:
            if not overwrite:
                raise
            if not alone:
                raise UsageError(f"{store.path} is being written by another process: stop it first") from None
            store.remove()
        store.create(plan)
        if alone:
            store.sweep()


def check_same(store: Format, plan: Plan) -> None:
    """Checks that the store at a path is the one of a plan.

    How it was rendered (versions, instructions) counts only where there is something left to render.

    Raises:
        UsageError: naming the field that differs.
    """
    held, wanted = store.attributes(), plan.attributes()
    fields = ["configuration", "image_shape", "pixel_scale", "parameters"]
    if not held["complete"] or store.missing(Plan.from_attributes(held)):
        fields.append("mode")
    for field in fields:
        for name, one, other in differences({field: held[field]}, {field: wanted[field]}):
            name = name.removeprefix("configuration.")
            raise UsageError(
                f"{store.path} differs in {name}: it has {_short(one)}, this would be {_short(other)}; choose another "
                "--out, or replace it with --overwrite"
            )


def fill(store: Format, plan: Plan, claims: Claims, tell: Tell = lambda done: None) -> None:
    """Makes chunks until none is missing, those included that another process claimed and did not finish."""
    from lenskit.store.render import Renderer

    render = None
    while missing := store.missing(plan):
        tell(plan.chunks - len(missing))
        made = 0
        for chunk in missing:
            with claims.chunk(chunk) as granted:
                if granted and store.lacks(plan, chunk):
                    render = render or Renderer(plan)
                    store.write(plan, chunk, *render(chunk))
                    made += 1
            if granted:
                tell(plan.chunks - len(missing) + made)
        if not made:
            with claims.chunk(missing[0], wait=True):
                pass
    tell(plan.chunks)


@contextmanager
def _helpers(store: Format, plan: Plan, count: int) -> Iterator[None]:
    """Has processes that fill the store beside this one. Whatever hinders one will hinder this one too, and is told
    here: a chunk that a helper could not make is still missing."""
    context = multiprocessing.get_context("spawn")
    # Daemons end with this process; one that is killed is noticed by its helpers.
    helpers: list[BaseProcess] = [
        context.Process(target=_help, args=(store.name, store.path, plan), daemon=True) for _ in range(count)
    ]
    try:
        for helper in helpers:
            helper.start()
        yield
        for helper in helpers:
            helper.join()
    finally:
        for helper in helpers:
            helper.kill()
            helper.join()


def _help(name: str, path: Path, plan: Plan) -> None:
    """What a helper does."""
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.environ["OMP_NUM_THREADS"] = "1"
    store, claims = open_format(name, path), Claims(path)
    try:
        with claims.joined(store.sweep):
            fill(store, plan, claims, _end_with_parent)
    except (LenskitError, OSError):
        raise SystemExit(1) from None


def _end_with_parent(done: int) -> None:
    parent = multiprocessing.parent_process()
    if parent is None or not parent.is_alive():
        raise SystemExit(1)


@contextmanager
def _faults_told(store: Format) -> Iterator[None]:
    """Turns a full disk and the like into one line."""
    try:
        yield
    except OSError as error:
        if error.strerror is None:
            raise
        raise LenskitError(
            f"{store.path} cannot be written: {error.strerror}; what is there is sound, and the same command goes on"
        ) from error


def _short(value: Any) -> str:
    text = "nothing" if value is None else repr(value)
    return text if len(text) < 100 else text[:97] + "..."
