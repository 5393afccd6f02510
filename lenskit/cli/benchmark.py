"""Verb `lenskit benchmark`."""

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
"""Number of rounds; each round times a run and then a bare loop."""


@click.command("benchmark", short_help="Measure how fast a configuration trains")
@configured
@click.option(
    "--batches", type=count(10**4), default=20, show_default=True, help="Batches to time, after two warm-up batches."
)
@click.option("--bare", is_flag=True, help=f"Also time a bare PyTorch loop, in {ROUNDS} alternating rounds.")
@click.option("--json", "as_json", is_flag=True, help="Print the results as JSON.")
def command(batches: int, bare: bool, as_json: bool, **flags: Any) -> None:
    """Measure the training speed: `lenskit benchmark --recipe quickstart`.

    A few batches are trained in a temporary folder, which is then deleted. The output shows the pairs (lenses) per
    second, the time and the share of each stage of a batch, and the peak memory. Times are medians and quartiles over
    batches. With --bare, the output also shows the ratio of the time per batch to the time in a plain PyTorch loop
    with the same model, batches and precision.
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
    """Return all results as plain values.

    Times are in seconds, memory is in bytes, and shares are fractions of 1.
    """
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
    """Print the results as a table."""
    source = config.name("data" if "data" in config.sections else "simulator")
    names = [source, *(config.name(section) for section in ("pairs", "method", "backbone"))]
    echo(f"{', '.join(names)}: {measured.batch_size} pairs a batch, {config.sections['train']['precision']}")
    echo(f"{measured.device}; medians and quartiles over {len(measured.times)} batches")
    rows = [[stage, *_cells(seconds, 1e3), f"{share:.1%}"] for stage, (seconds, share) in measured.stages.items()]
    print_table(["stage", "ms a batch", "quartiles", "share"], rows, right=1)
    rate, quartiles = _cells(measured.rate, 1)
    echo(f"pairs/s       {rate} ({quartiles})")
    echo(f"peak memory   {measured.memory / 1e9:.2f} GB")
    if measured.ratio:
        ratio = measured.ratio
        echo(f"time / bare loop  {ratio.median:.3f} ({ratio.low:.3f} to {ratio.high:.3f})")


def _cells(spread: Spread, unit: float) -> tuple[str, str]:
    median, low, high = (f"{value * unit:.1f}" for value in (spread.median, spread.low, spread.high))
    return median, f"{low} to {high}"
