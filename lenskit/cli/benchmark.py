"""`lenskit benchmark`."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from lenskit.cli.numbers import count
from lenskit.cli.output import echo
from lenskit.cli.train import configured, resolved
from lenskit.terminal import print_table

if TYPE_CHECKING:
    from lenskit.config import Config
    from lenskit.training.benchmark import Measurement, Spread

ROUNDS = 3
"""Rounds in which a run and a bare loop alternate."""


@click.command("benchmark", short_help="Measure how fast a configuration trains")
@configured
@click.option(
    "--batches", type=count(10**4), default=20, show_default=True, help="Batches that count, after two that do not."
)
@click.option("--bare", is_flag=True, help=f"Also train in a bare PyTorch loop, in {ROUNDS} rounds in turns.")
@click.option("--json", "as_json", is_flag=True, help="Print figures as JSON.")
def command(batches: int, bare: bool, as_json: bool, **flags: Any) -> None:
    """Measure how fast a configuration trains here: `lenskit benchmark --recipe quickstart`.

    A few batches are trained in a temporary folder, and nothing is kept. Shown are pairs (lenses) a second, the share
    of each stage of a batch, with medians and quartiles over batches, and the peak of memory. With --bare, how many
    times as long as in a loop of plain PyTorch a batch takes, for the same model, batches and precision.
    """
    config = resolved(**flags)
    from lenskit.training.benchmark import benchmark
    from lenskit.training.processes import is_first

    measured = benchmark(config, batches, ROUNDS if bare else 0)
    if not is_first():
        return
    if as_json:
        click.echo(json.dumps(figures(config, measured), indent=2))
    else:
        show(config, measured)


def figures(config: Config, measured: Measurement) -> dict[str, Any]:
    """All figures, as plain values; seconds, bytes, and shares of one."""
    import torch

    names = {section: config.sections[section].get("name") for section in ("pairs", "method", "backbone")}
    names["data" if "data" in config.sections else "simulator"] = config.name(
        "data" if "data" in config.sections else "simulator"
    )
    return {
        "configuration": names
        | {key: config.sections["train"][key] for key in ("batch_size", "precision", "compile", "channels_last")},
        "device": measured.device,
        "torch": torch.__version__,
        "batches": len(measured.times),
        "pairs_per_second": asdict(measured.rate),
        "stages": {s: {"share": share, "seconds": asdict(spread)} for s, (spread, share) in measured.stages.items()},
        "peak_memory": measured.memory,
        "times_a_bare_loop": measured.ratio and asdict(measured.ratio),
    }


def show(config: Config, measured: Measurement) -> None:
    """Print a table."""
    source = config.name("data" if "data" in config.sections else "simulator")
    what = [source, *(config.name(section) for section in ("pairs", "method", "backbone"))]
    echo(f"{', '.join(what)}: {measured.batch_size} pairs a batch, {config.sections['train']['precision']}")
    echo(f"{measured.device}; {len(measured.times)} batches; medians, and quartiles over batches")
    rows = [[stage, *_cells(seconds, 1e3), f"{share:.1%}"] for stage, (seconds, share) in measured.stages.items()]
    print_table(["stage", "ms a batch", "quartiles", "share"], rows, right=1)
    rate, quartiles = _cells(measured.rate, 1)
    echo(f"pairs/s       {rate} ({quartiles})")
    echo(f"peak memory   {measured.memory / 1e9:.2f} GB")
    if measured.ratio:
        ratio = measured.ratio
        echo(f"a bare loop's batch, times {ratio.median:.3f} ({ratio.low:.3f} to {ratio.high:.3f})")


def _cells(spread: Spread, unit: float) -> tuple[str, str]:
    median, low, high = (f"{value * unit:.1f}" for value in (spread.median, spread.low, spread.high))
    return median, f"{low} to {high}"
