"""`lenskit simulate`."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

import click

from lenskit.cli.numbers import SEED, count
from lenskit.errors import UsageError
from lenskit.terminal import console, progress

log = logging.getLogger("lenskit")

SECTIONS = ("simulator", "pairs")
SETTINGS = ("lenses", "views", "seed", "split", "dtype", "chunk")
"""Flags that say which images there are of a configuration."""


@click.command("simulate", short_help="Simulate lenses to disk")
@click.option(
    "--recipe", metavar="NAME|FILE", help="Take simulator and pairs from a recipe; see `lenskit list recipes`."
)
@click.option("--config", metavar="FILE", help="Take them from a configuration, such as a run's run.toml.")
@click.option("--simulator", help="Which simulator to use; see `lenskit list`.")
@click.option("--pairs", help="What the images of a lens share, and how many there are; see `lenskit list`.")
@click.option("--set", "assignments", multiple=True, metavar="SECTION.OPTION=VALUE", help="Set any option.")
@click.option("--lenses", type=count(), help="How many lenses.")
@click.option("--views", type=count(1000), help="Images of each lens. [default: as the pairs want]")
@click.option("--seed", type=SEED, help="Seed of everything that is drawn.")
@click.option("--split", help="Part of the data: other lenses of the same seed. [default: train]")
@click.option("--dtype", type=click.Choice(["float32", "float16"]), help="Type of the pixels. [default: float32]")
@click.option("--chunk", type=count(), help="Lenses a chunk. [default: as many as have 8 MB]")
@click.option("--format", metavar="NAME", help="Format, see `lenskit list formats`. [default: by the ending of --out]")
@click.option("--workers", type=count(1024), help="Processes. [default: one a core]")
@click.option(
    "--dask", metavar="[ADDRESS]", is_flag=False, flag_value="local",
    help="Work on a Dask cluster: a local one, or the one of that scheduler.",
)  # fmt: skip
@click.option("--out", required=True, metavar="PATH", help="The store to make, or to go on with.")
@click.option("--overwrite", is_flag=True, help="Replace a store of another configuration.")
def command(
    recipe: str | None,
    config: str | None,
    out: str,
    format: str | None,
    workers: int | None,
    dask: str | None,
    overwrite: bool,
    **wanted: Any,
) -> int:
    """Simulate lenses to disk: `lenskit simulate --lenses 100000 --out pairs.zarr`.

    Stopped or killed, the same command goes on and makes what is missing; `lenskit simulate --out PATH` alone does so
    with any store. A second command on the same store, here or on another machine, shares the work.
    """
    given = {name: value for name, value in wanted.items() if value not in (None, ())}
    if recipe or config:
        given |= {"recipe": recipe, "config": config}

    path = Path(out)
    if not path.name:
        raise UsageError(f"--out takes the path of the store, such as pairs.zarr, got {out!r}")

    from lenskit.store.formats import format_name, open_format
    from lenskit.store.plan import simulator_of

    name = format_name(path, format)
    from lenskit.store.simulate import simulate

    plan = _plan(given, name, path)
    count = workers or len(os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1))
    if not open_format(name, path).exists:
        for remark in simulator_of(plan.configuration["simulator"]).remarks:
            log.info("%s", remark)
    with Display(plan.chunks, plan["lenses"] / plan.chunks) as display:
        simulate(plan, path, format=name, workers=count, dask=dask, overwrite=overwrite, tell=display.update)
    following = f"; next: lenskit data info {path}" if open_format(name, path).reader else ""
    log.info("%s holds %d lenses%s", path, plan["lenses"], following)
    return 0


def _plan(given: dict[str, Any], format: str, path: Path) -> Any:
    """The plan that flags describe. Where a store is there and they name no configuration, its own is the lowest layer:
    without any flag the plan is the store's."""
    from lenskit.config import Config, read_layers
    from lenskit.layers import split_assignment
    from lenskit.store.formats import open_format
    from lenskit.store.plan import Plan

    if given.keys() <= set(SETTINGS) and (store := open_format(format, path)).exists:
        held = Plan.from_attributes(store.attributes())
        if not given:
            return held.made_here()
        same = {name: held[name] for name in SETTINGS}
        layer = {section: held.configuration[section] for section in SECTIONS}
        return Plan.of(Config.resolve(layer, only=SECTIONS), **same | given)
    named = [{section: {"name": given[section]}} for section in SECTIONS if section in given]
    assigned = dict(map(split_assignment, given.get("assignments", ())))
    layers = read_layers(given.get("recipe"), given.get("config"), named, assigned, SECTIONS)
    for section in layers[-1]:
        if section not in SECTIONS:
            raise UsageError(f"simulate takes options of {' and '.join(SECTIONS)}, not of {section}: see --help")
    resolved = Config.resolve(*layers, only=(*SECTIONS, "train"))
    train = resolved.sections["train"]
    lenses = given.get("lenses", train.get("lenses"))
    if lenses is None:
        raise UsageError("say how many lenses to simulate: --lenses N")
    settings = {name: given[name] for name in SETTINGS if name in given}
    return Plan.of(resolved, **{"lenses": lenses, "seed": train["seed"]} | settings)


class Display:
    """Lenses done and time left: a bar on a terminal, a line every tenth elsewhere.

    Args:
        chunks: How many there are.
        lenses: Lenses a chunk, in the mean: the last one may be smaller.
    """

    def __init__(self, chunks: int, lenses: float) -> None:
        from rich.progress import MofNCompleteColumn, TextColumn

        self._chunks, self._lenses, self._tenths = chunks, lenses, 0
        self._began: tuple[float, int] | None = None
        self.console = console(stderr=True)
        rate = TextColumn("{task.fields[rate]}")
        self._progress = progress(TextColumn("chunks"), MofNCompleteColumn(), rate, shown=self.console)
        self._task = self._progress.add_task("simulate", total=chunks, rate="")

    def update(self, done: int) -> None:
        """Shows that so many chunks are done."""
        import time

        now = time.monotonic()
        began, before = self._began = self._began or (now, done)
        rate = f"{(done - before) * self._lenses / (now - began):.0f} lenses/s" if done > before else ""
        self._progress.update(self._task, completed=done, rate=rate)
        if not self.console.is_interactive and done * 10 // self._chunks > self._tenths:
            self._tenths = done * 10 // self._chunks
            self.console.print(f"{done}/{self._chunks} chunks  {rate}")

    def __enter__(self) -> Display:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()
