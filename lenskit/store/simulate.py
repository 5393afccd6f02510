"""Simulates lenses to disk.

Every process that works on a store does the same: it looks which chunks are missing, claims one, renders it, writes it,
and looks again. So a run that was killed is gone on with by the same command, and two commands share the work.
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
"""Is told how many chunks are done."""
PAUSE = 1.0
"""Seconds between two looks at how many are; and at least ten times as long as looking takes."""

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
) -> None:
    """Makes a store, or what of it is missing.

    Args:
        plan: What it shall hold.
        out: Where.
        format: Name of a format. The default is that of the store at `out`, or what the ending of `out` means.
        workers: Processes; this one is the first of them.
        dask: Address of a Dask scheduler whose workers do the work, or `local` for a cluster of `workers` processes.
        overwrite: Whether a store of another configuration, version or mode is replaced.
        tell: Is called with the number of chunks that are done, now and then.

    Raises:
        UsageError: if there is something else at `out`, or a store that differs from the plan; or it is in a run or
            another store.
        LenskitError: if the disk is full or cannot be written, or the cluster cannot be reached.
    """
    store = open_format(format_name(Path(out), format), Path(out))
    if not store.exists:
        check_outside(Path(out))
        check_in_no_store(Path(out))
    with ExitStack() as stack:
        # A cluster that cannot be reached shall leave nothing behind.
        client = stack.enter_context(connected(dask, workers)) if dask else None
        claims = Claims(store.path)
        with written(store.path):
            store.path.parent.mkdir(parents=True, exist_ok=True)
            stack.enter_context(claims.joined(store.sweep))
        if not claims.available:
            log.info("%s cannot be locked: this process works alone; let no other fill the store", claims.path)
            workers = 1
        with claims.setup():
            begin(store, plan, claims, overwrite)
        if client:
            fill_on_cluster(client, store, plan, tell)
        else:
            with _helpers(store, plan, workers - 1):
                fill(store, plan, claims, tell)
        with claims.setup(), written(store.path):
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
            if claims.available and not alone:
                raise UsageError(f"{store.path} is being written by another process: stop it first") from None
            with written(store.path):
                store.remove()
        with written(store.path):
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
    store: Format, plan: Plan, claims: Claims, tell: Tell | None = None, between: Callable[[], object] = lambda: None
) -> None:
    """Makes chunks until none is missing, those included that another process claimed and did not finish.

    Args:
        store: The store, begun.
        plan: Its plan.
        claims: The claims on it, joined.
        tell: Is told how many chunks are done, whoever made them.
        between: Is called after each chunk that is made here.
    """
    render, told = None, _Progress(store, plan, tell)
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
    """Tells how many chunks are done, whoever made them.

    Args:
        store: The store.
        plan: Its plan.
        tell: Who is told, if anybody is.
    """

    def __init__(self, store: Format, plan: Plan, tell: Tell | None) -> None:
        self._store, self._plan, self._tell, self._next = store, plan, tell, time.monotonic() + PAUSE

    def say(self, missing: list[int]) -> None:
        """Says that these are missing."""
        if self._tell:
            self._tell(self._plan.chunks - len(missing))

    def look(self) -> None:
        """Looks which are missing and says so, if the last look was long enough ago."""
        if self._tell and (began := time.monotonic()) >= self._next:
            self.say(self._store.missing(self._plan))
            now = time.monotonic()
            self._next = now + max(PAUSE, 10 * (now - began))


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
