"""Verb `lenskit runs`: lists and comparisons of runs."""

from __future__ import annotations

import json
import logging
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lenskit.cli.output import echo
from lenskit.errors import UsageError
from lenskit.terminal import print_table

if TYPE_CHECKING:
    from lenskit.run_summary import Comparison, Summary

log = logging.getLogger("lenskit")

COLOURS = {"running": "cyan", "finished": "green", "stopped": "yellow", "failed": "red", "damaged": "red"}


class _Runs(click.Group):
    """Group whose default subcommand is `list`, so that `lenskit runs FOLDER` works."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not args or (args[0] not in self.commands and args[0] not in ("-h", "--help")):
            args = ["list", *args]
        return super().parse_args(ctx, args)


@click.group("runs", cls=_Runs, short_help="List and compare runs", subcommand_metavar="[FOLDER...] [--json]")
def command() -> None:
    """List or compare runs: `lenskit runs FOLDER...`, `lenskit runs compare RUN RUN`.

    Without FOLDER, the runs in runs/ are listed.
    """


@command.command("list", short_help="List the runs in folders, the same as `lenskit runs FOLDER...`")
@click.argument("folders", nargs=-1, metavar="[FOLDER...]")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_runs(folders: tuple[str, ...], as_json: bool) -> None:
    """List the runs in each FOLDER.

    The table has their state, progress, best probe score, training speed and components. A FOLDER may also be a run
    directory. Without FOLDER, the runs in runs/ are listed.
    """
    from lenskit.run_summary import find

    if not folders and not Path("runs").is_dir():
        raise UsageError("there is no folder runs/ here: type lenskit runs FOLDER")
    runs = find([Path(folder) for folder in folders or ("runs",)])
    if as_json:
        click.echo(json.dumps([asdict(run) for run in runs], indent=2))
    elif not runs:
        echo("no runs")
    else:
        _print_runs(runs)


@command.command("compare", short_help="Compare configurations and results of runs, and plot their curves")
@click.argument("runs", nargs=-1, required=True, metavar="RUN RUN...")
@click.option("-o", "--output", metavar="FILE", help="Plot the curves to FILE (.png, .pdf or .svg).")
@click.option("--overwrite", is_flag=True, help="Overwrite FILE even if lenskit did not write it.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def compare(runs: tuple[str, ...], output: str | None, overwrite: bool, as_json: bool) -> None:
    """Compare the configurations and the latest results of RUNs.

    Only options that differ are printed. With -o, the training curves are plotted too.
    """
    from lenskit.run_summary import compare_runs, plot_runs, unsound

    if len(runs) < 2:
        raise UsageError("compare takes two runs or more")
    if output and Path(output).suffix not in (".png", ".pdf", ".svg"):
        raise UsageError(f"-o takes a .png, .pdf or .svg file for the curves, got {output}")
    if output:
        from lenskit.destinations import check_output

        check_output(Path(output), overwrite=overwrite, inputs=(), flag="-o")
    left_out = {run: why for run in dict.fromkeys(runs) if (why := unsound(Path(run)))}
    if len(runs) - len(left_out) >= 2:
        runs = tuple(run for run in runs if run not in left_out)
        for run, why in left_out.items():
            log.warning("%s is left out, it is %s", run, why)
    comparison = compare_runs([Path(run) for run in runs])
    if output:
        from lenskit.pictures import write_picture

        write_picture(plot_runs(comparison), Path(output), dpi=150)
    if as_json:
        plain = asdict(comparison)
        del plain["lines"]
        click.echo(json.dumps(plain, indent=2))
    else:
        _print_comparison(comparison)


def _print_runs(found: list[Summary]) -> None:
    columns = ["run", "state", "batches", "best probe", "pairs/s", "method", "pairs", "recipe"]
    rows = []
    for run in found:
        done = f"{run.batches}/{run.of}" if run.of else str(run.batches)
        figures = [_number(run.probe), _number(run.rate)]
        rows.append([run.path, run.state, done, *figures, run.method, run.pairs, run.recipe or "-"])
    print_table(columns, rows, styles=COLOURS, complete="lenskit runs --json prints all")
    for run in found:
        if run.note:
            echo(f"{run.path}: {run.note}")


def _print_comparison(comparison: Comparison) -> None:
    names = [run.path for run in comparison.runs]
    complete = "lenskit runs compare --json prints all"
    if comparison.differences:
        differences = [[key, *map(_text, row)] for key, row in comparison.differences.items()]
        print_table(["option", *names], differences, complete=complete)
    else:
        echo("the configurations are the same")
    best: dict[str, list[float | None]] = {"best probe": [run.probe for run in comparison.runs]}
    rows = [[key, *map(_number, row)] for key, row in (best | comparison.figures).items()]
    print_table(["metric", *names], rows, right=1, complete=complete)


def _text(value: Any) -> str:
    return "-" if value is None else str(value)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"
