"""Verb `lenskit simulate`."""

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
"""Flags that select the images to simulate with a configuration."""


@click.command("simulate", short_help="Simulate lenses to disk")
@click.option(
    "--recipe", metavar="NAME|FILE", help="Take simulator and pairs from a recipe; see `lenskit list recipes`."
)
@click.option(
    "--config", metavar="FILE", help="Take simulator and pairs from a configuration file, such as RUN/run.toml."
)
@click.option("--simulator", metavar="NAME", help="Simulator to use; see `lenskit list simulators`.")
@click.option(
    "--pairs", metavar="NAME",
    help="Pair strategy: it sets the number of images of each lens and the parameter groups that they share; see "
    "`lenskit list pairs`.",
)  # fmt: skip
@click.option(
    "--set", "assignments", multiple=True, metavar="SECTION.OPTION=VALUE",
    help="Set any option of simulator or pairs; repeatable. `lenskit info NAME` lists the options of a component.",
)  # fmt: skip
@click.option("--lenses", type=count(), help="Number of lenses.")
@click.option("--views", type=count(1000), help="Images of each lens. [default: the number that the pairs take]")
@click.option("--seed", type=SEED, help="Random seed.")
@click.option("--split", metavar="NAME", help="Split of the data; each split has different lenses. [default: train]")
@click.option("--dtype", type=click.Choice(["float32", "float16"]), help="Type of the pixels. [default: float32]")
@click.option("--chunk", type=count(), help="Lenses per chunk. [default: as many as fit into 8 MB]")
@click.option(
    "--format",
    metavar="NAME",
    help="Format of the store; see `lenskit list formats`. [default: by the suffix of --out]",
)
@click.option("--workers", type=count(1024), help="Number of processes. [default: one per core]")
@click.option(
    "--dask", metavar="[ADDRESS]", is_flag=False, flag_value="local",
    help="Simulate on a Dask cluster: a local cluster, or the cluster whose scheduler has this address.",
)  # fmt: skip
@click.option("--out", required=True, metavar="PATH", help="Store to create or to resume.")
@click.option("--overwrite", is_flag=True, help="Overwrite a store with a different configuration.")
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
    """Simulate lenses to a store: `lenskit simulate --lenses 100000 --out pairs.zarr`.

    If the command is stopped or killed, run it again to resume: it simulates only the missing lenses. `lenskit
    simulate --out PATH` resumes any store. A second command on the same store, on this or another machine, shares the
    work.
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
    """Return the plan that the flags describe.

    If the store exists and the flags name no configuration, the flags override the plan of the store. Without any flag
    the result is the plan of the store.
    """
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
        raise UsageError("the number of lenses is missing: pass --lenses N")
    settings = {name: given[name] for name in SETTINGS if name in given}
    return Plan.of(resolved, **{"lenses": lenses, "seed": train["seed"]} | settings)


class Display:
    """Progress display: a bar on a terminal, otherwise a line per tenth of the work.

    Args:
        chunks: Total number of chunks.
        lenses: Mean number of lenses per chunk; the last chunk may be smaller.
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
        """Show the number of chunks that are done."""
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
