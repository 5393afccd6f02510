"""Verb `lenskit data`: inspection and check of stored images."""

from __future__ import annotations

import logging
import math
from typing import TYPE_CHECKING

import click

from lenskit.cli.output import echo
from lenskit.errors import LenskitError

if TYPE_CHECKING:
    from torch import Tensor

    from lenskit.kinds.dataset import Dataset

log = logging.getLogger("lenskit")

SAMPLE = 256
"""Number of lenses from which the ranges of parameters are computed."""


@click.group("data", short_help="Inspect and check stored images")
def command() -> None:
    """Inspect and check stored images.

    PATH has the same form as after --data: a path that a reader recognises, or READER:PATH.
    """


@command.command("info", short_help="Describe the stored images")
@click.argument("path")
def info(path: str) -> None:
    """Describe the images in PATH.

    The output lists the format, the number of lenses and views, the shape, the pixel type, the chunks, the shared
    parameter groups, and the parameters with their ranges over a sample. If PATH contains the configuration that
    simulated the images, it is printed too.
    """
    from lenskit.data.readers import find_reader, open_dataset

    dataset = open_dataset(path)
    _print_row("format", find_reader(path)[0])
    _print_row("lenses", f"{len(dataset)}" + (f", {dataset.missing} of them missing" if dataset.missing else ""))
    if dataset.unfinished:
        _print_row("unfinished", dataset.unfinished)
    shared = ", ".join(sorted(dataset.shared_groups)) or "nothing"
    _print_row("views", f"{dataset.views} of each lens" + (f", sharing {shared}" if dataset.views > 1 else ""))
    _print_row("images", "{} x {} x {} (channels, height, width)".format(*dataset.image_shape))
    if dataset.pixel_scale:
        _print_row("pixels", f"{dataset.pixel_scale:.4g} arcsec")
    elif dataset.pixel_scale_can_be_said and not dataset.pixel_scale_unclear:
        example = f"{path}{'&' if '?' in path else '?'}pixel_scale=0.05"
        log.warning("%s: the pixel scale is unknown; give it in arcsec, as in '%s'", path, example)
    if dataset.stored_as:
        _print_row("stored as", dataset.stored_as)
    if dataset.chunk > 1:
        _print_row("chunks", f"{-(-len(dataset) // dataset.chunk)} of {dataset.chunk} lenses")
    _print_parameters(dataset)
    if dataset.configuration is not None:
        import tomli_w

        echo("\nconfiguration:")
        for line in tomli_w.dumps(dataset.configuration).splitlines():
            echo(f"  {line}".rstrip(), indent=6)


def _print_row(name: str, text: str) -> None:
    echo(f"{name:10} {text}", indent=11)


def _print_parameters(dataset: Dataset) -> None:
    """Print a line for each parameter: name, unit, group, and the range over a sample."""
    if not dataset.parameters:
        echo("\nno parameters")
        return
    values = {} if dataset.missing or dataset.unfinished else dataset.read_parameters(range(min(SAMPLE, len(dataset))))
    ranges = f", with their ranges over the first {min(SAMPLE, len(dataset))} lenses" if values else ""
    echo(f"\nparameters{ranges}:")
    width = max(len(parameter.name) for parameter in dataset.parameters)
    for parameter in dataset.parameters:
        unit = f"{len(parameter.classes)} classes" if parameter.classes else parameter.unit or "1"
        span = _range(values[parameter.name]) if values else ""
        echo(f"  {parameter.name:{width}}  {unit:10}  {parameter.group:12}  {span}".rstrip(), indent=width + 4)


def _range(values: Tensor) -> str:
    finite = values[values.isfinite()]
    if not len(finite):
        return "unknown"
    known = "" if finite.numel() == values.numel() else f", known for {finite.numel()} of {values.numel()}"
    return f"{finite.min():.4g} to {finite.max():.4g}{known}"


@command.command("check", short_help="Read all images, and report damage")
@click.argument("path")
def check(path: str) -> None:
    """Read all images in PATH, and report damaged or absent parts.

    Checksums are verified if the format has them. Undefined pixels are counted; a reader fills them. The exit status is
    1 if a part is damaged or absent.
    """
    from lenskit.data.readers import open_dataset

    parts = bad = 0
    dataset = open_dataset(path)
    counts: dict[str, int] = {}
    dataset.undefined.counts = counts
    for name, complaint in dataset.check():
        parts += 1
        if complaint:
            bad += 1
            echo(f"{name}: {complaint}")
    if counts:
        pixels, total = sum(counts.values()), len(dataset) * dataset.views * math.prod(dataset.image_shape)
        echo(
            f"{path}: {pixels} of {total} pixels ({100 * pixels / total:.3g} %) are undefined and filled, in "
            f"{len(counts)} of {len(dataset)} lenses"
        )
    if bad:
        raise LenskitError(f"{path}: {bad} of {parts} parts are damaged or absent")
    echo(f"{path}: all {parts} parts are sound")
