"""Simulation of lenses into a store on disk.

Each process that fills a store repeats the same steps: list the missing chunks, claim a chunk, render it and write it.
Therefore the same command resumes a simulation that was killed, and two commands share the work.
"""

from __future__ import annotations

import logging
import multiprocessing
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from lenskit.destinations import check_outside
from lenskit.errors import LenskitError, UsageError
from lenskit.store.chunk_locks import Claims
from lenskit.store.cluster import connected, fill_on_cluster
from lenskit.store.format import Format, written
from lenskit.store.formats import check_in_no_store, format_name, open_format
from lenskit.store.plan import Plan, differences
from lenskit.store.render import Renderer

Tell = Callable[[int], object]
"""Function that is called with the number of chunks done."""
PAUSE = 1.0
"""Shortest time in seconds between two counts of the chunks done. The time is also at least ten times the duration of a
count."""

log = logging.getLogger("lenskit")


def simulate(
    plan: Plan,
    out: Path | str,
    *,
    format: str | None = None,
    workers: int = 1,
    dask: str | None = None,
    overwrite: bool = False,
    tell: Tell = lambda done: None,
    pause: float = PAUSE,
) -> None:
    """Make a store, or the missing chunks of a store.

    Args:
        plan: Plan of the store.
        out: Path of the store.
        format: Name of a format. The default is the format of the store at `out`, or else follows from the suffix of
            `out`.
        workers: Number of processes, including this one.
        dask: Address of a Dask scheduler whose workers do the work, or `local` for a cluster of `workers` processes.
        overwrite: Whether to overwrite a store with a different configuration, version or mode.
        tell: Function that is called from time to time with the number of chunks done.
        pause: Shortest time in seconds between two counts of the chunks done.

    Raises:
        UsageError: The path `out` exists and is not a store, is a store that differs from the plan, or is inside a run
            or a different store.
        LenskitError: The disk is full or cannot be written, or the cluster cannot be reached.
    """
    store = open_format(format_name(Path(out), format), Path(out))
    if not store.exists:
        check_outside(Path(out))
        check_in_no_store(Path(out))
    with ExitStack() as stack:
        # Connect first, so that nothing is written if the cluster cannot be reached.
        client = stack.enter_context(connected(dask, workers)) if dask else None
        claims = Claims(store.path)
        with written(store.path):
            store.path.parent.mkdir(parents=True, exist_ok=True)
            stack.enter_context(claims.joined(store.sweep))
        if not claims.available:
            log.info("%s cannot be locked: use only this process to fill the store", claims.path)
            workers = 1
        with claims.setup():
            begin(store, plan, claims, overwrite)
        if client:
            fill_on_cluster(client, store, plan, tell)
        else:
            with _helpers(store, plan, workers - 1):
                fill(store, plan, claims, tell, pause=pause)
        with claims.setup(), written(store.path):
            store.finish(plan)


def begin(store: Format, plan: Plan, claims: Claims, overwrite: bool) -> None:
    """Create the store, or check that the existing store has the same plan.

    If no other process writes to the store, temporary files of killed processes are removed.

    Args:
        store: Store to create or check.
        plan: Plan of the store.
        claims: Claims of this process, which has joined the store.
        overwrite: Whether to overwrite a store with a different plan.

    Raises:
        UsageError: The path exists and is not a store, or the store has a different plan and is not overwritten.
    """
    if not store.exists and not store.blank:
        raise UsageError(
            f"{store.path} exists and is not a {store.name} store of simulated pairs: choose another --out"
        )
    with claims.alone() as alone:
        try:
            if store.exists:
                check_same(store, plan)
        except UsageError:
            if not overwrite:
                raise
            if claims.available and not alone:
                raise UsageError(f"{store.path} is being written by another process: stop it first") from None
            with written(store.path):
                store.remove()
        with written(store.path):
            store.create(plan)
        if alone:
            store.sweep()


def check_same(store: Format, plan: Plan) -> None:
    """Check that an existing store has the same plan.

    The mode of rendering (versions, instructions) is compared only if chunks are missing.

    Raises:
        UsageError: A field differs. The message names it.
    """
    held, wanted = store.attributes(), plan.attributes()
    fields = ["configuration", "image_shape", "pixel_scale", "parameters"]
    if not store.whole(Plan.from_attributes(held)):
        fields.append("mode")
    for field in fields:
        for name, one, other in differences({field: held[field]}, {field: wanted[field]}):
            name = name.removeprefix("configuration.")
            hint = "" if store.strangers() else ", or replace it with --overwrite"
            raise UsageError(
                f"{store.path} differs in {name}: it has {_short(one)}, this would be {_short(other)}; choose another "
                f"--out{hint}"
            )


def fill(
    store: Format,
    plan: Plan,
    claims: Claims,
    tell: Tell | None = None,
    between: Callable[[], object] = lambda: None,
    pause: float = PAUSE,
) -> None:
    """Make chunks until none is missing.

    This includes chunks that another process claimed but did not finish.

    Args:
        store: The created store.
        plan: Plan of the store.
        claims: Claims on the store, joined.
        tell: Function that is called with the number of chunks done by all processes.
        between: Function that is called after each chunk that this process made.
        pause: Shortest time in seconds between two counts of the chunks done.
    """
    render, told = None, _Progress(store, plan, tell, pause)
    while missing := store.missing(plan):
        told.say(missing)
        any_made = False
        for chunk in missing:
            with claims.chunk(chunk) as granted:
                if granted and store.lacks(plan, chunk):
                    render = render or Renderer(plan)
                    made = render(chunk)
                    with written(store.path):
                        store.write(plan, chunk, *made)
                    any_made = True
                    between()
                    told.look()
        if not any_made:
            with claims.chunk(missing[0], wait=True):
                pass
    told.say([])


class _Progress:
    """Reports of the number of chunks done by all processes.

    Args:
        store: The store.
        plan: Plan of the store.
        tell: Function that is called with the number; None for no reports.
        pause: Shortest time in seconds between two counts.
    """

    def __init__(self, store: Format, plan: Plan, tell: Tell | None, pause: float) -> None:
        self._store, self._plan, self._tell, self._pause = store, plan, tell, pause
        self._next = time.monotonic() + pause

    def say(self, missing: list[int]) -> None:
        """Report the number of chunks done: all chunks except the missing ones."""
        if self._tell:
            self._tell(self._plan.chunks - len(missing))

    def look(self) -> None:
        """Count the missing chunks and report, if the last count was long enough ago."""
        if self._tell and (began := time.monotonic()) >= self._next:
            self.say(self._store.missing(self._plan))
            now = time.monotonic()
            self._next = now + max(self._pause, 10 * (now - began))


@contextmanager
def _helpers(store: Format, plan: Plan, count: int) -> Iterator[None]:
    """Run `count` helper processes that fill the store inside the context.

    The error of a helper is not reported: a chunk that it could not make is still missing, so this process tries the
    chunk too and raises the same error.
    """
    context = multiprocessing.get_context("spawn")
    # Daemons end with this process. If this process is killed, its helpers notice it in `_end_with_parent`.
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
    """Fill the store; the main function of a helper process."""
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    store, claims = open_format(name, path), Claims(path)
    try:
        with claims.joined(store.sweep):
            fill(store, plan, claims, between=_end_with_parent)
    except (LenskitError, OSError):
        raise SystemExit(1) from None


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is None or not parent.is_alive():
        raise SystemExit(1)


def _short(value: Any) -> str:
    text = "nothing" if value is None else repr(value)
    return text if len(text) < 100 else text[:97] + "..."
