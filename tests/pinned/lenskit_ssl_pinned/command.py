"""Verb that prints the brightest pixel of each stored lens."""

import click
from lenskit.evaluation import StoredLenses, open_dataset


@click.command()
@click.argument("data", metavar="[READER:]PATH")
@click.option("--lenses", type=click.IntRange(1), default=10, show_default=True, help="Number of lenses to read.")
def command(data, lenses):
    """Print the brightest pixel of each stored lens."""
    dataset = open_dataset(data)
    images = StoredLenses(dataset).read(range(min(lenses, len(dataset)))).images       # (n, channels, height, width)
    for name, peak in zip(dataset.names, images.flatten(1).amax(1).tolist()):
        click.echo(f"{name}  {peak:.3g}")
