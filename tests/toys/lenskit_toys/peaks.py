"""Command of a third party that prints the brightest pixels of stored images."""

from __future__ import annotations

import click

from lenskit.evaluation import StoredLenses, open_dataset


@click.command()
@click.argument("data", metavar="[READER:]PATH")
@click.option("--lenses", type=click.IntRange(1), default=10, show_default=True, help="Number of lenses to read.")
def peaks(data: str, lenses: int) -> None:
    """Print the brightest pixel of each stored lens."""
    dataset = open_dataset(data)
    images = StoredLenses(dataset).read(range(min(lenses, len(dataset)))).images
    for name, peak in zip(dataset.names, images.flatten(1).amax(1).tolist(), strict=False):
        click.echo(f"{name}  {peak:.3g}")
