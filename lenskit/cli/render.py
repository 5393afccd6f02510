"""Verb `lenskit render`."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import click

from lenskit.cli.numbers import SEED
from lenskit.errors import UsageError


@click.command("render", short_help="Render the lenses of a table as images")
@click.argument("table", metavar="TABLE")
@click.option("--simulator", metavar="NAME", help="Simulator to use; see `lenskit list simulators`.")
@click.option("--recipe", metavar="NAME|FILE", help="Take the simulator from a recipe; see `lenskit list recipes`.")
@click.option("--config", metavar="FILE", help="Take the simulator from a configuration file, such as RUN/run.toml.")
@click.option(
    "--set", "assignments", multiple=True, metavar="simulator.OPTION=VALUE",
    help="Set an option of the simulator; repeatable. `lenskit info NAME` lists its options.",
)  # fmt: skip
@click.option(
    "--seed", type=SEED, default=0, show_default=True, help="Random seed of all quantities that the table does not fix."
)
@click.option("--ignore", multiple=True, metavar="COLUMN", help="Ignore a column of the table; repeatable.")
@click.option("-o", "--out", required=True, metavar="PATH", help="Output: x.npy, x.mat, x.h5, or a folder.")
@click.option(
    "--format", metavar="NAME",
    help="Format of the images; see `lenskit list formats`. [default: by the suffix of -o; png for a folder]",
)  # fmt: skip
@click.option("--bits", type=click.Choice(["8", "16"]), help="Bits per pixel of PNG files. [default: 16]")
@click.option(
    "--stretch", type=click.Choice(["linear", "asinh"]),
    help="Stretch of PNG files, from zero to the peak of an image. [default: linear]",
)  # fmt: skip
@click.option("--overwrite", is_flag=True, help="Overwrite earlier output, or another file that -o names.")
def command(
    table: str,
    out: str,
    format: str | None,
    ignore: tuple[str, ...],
    seed: int,
    bits: str | None,
    stretch: str | None,
    overwrite: bool,
    **named: Any,
) -> int:
    """Simulate images of the lenses in a table.

    Example: `lenskit render lenses.csv --simulator hst -o lenses.h5`.

    TABLE is a CSV file with a header, or a JSON file. A row is a lens. A column is a parameter, under the name that the
    simulator uses. Parameters without a column, and empty cells, are sampled from the simulator's priors; --set
    replaces a prior. A column `name` gives the names of the images.
    """
    from lenskit.formats import find_format
    from lenskit.options import options_of
    from lenskit.rendering.image_format import ImageFormat
    from lenskit.rendering.outputs import check_out, format_of, write
    from lenskit.rendering.table import read_table
    from lenskit.results import paths_of

    pictured = {key: value for key, value in (("bits", bits and int(bits)), ("stretch", stretch)) if value}
    path = Path(out)
    format_name = format_of(path, format)
    taken = {option.name for option in options_of(find_format(ImageFormat, format_name))}
    for option in pictured:
        if option not in taken:
            raise UsageError(f"--{option} is for PNG, not for {format_name}")
    read = read_table(Path(table)).without(ignore)
    check_out(path, format_name, overwrite, Path(table), [*paths_of([named["recipe"], named["config"]])])

    from lenskit.rendering.render import Rendering, simulator_for

    rendering = Rendering(read, *simulator_for(read, *_layers(**named)), seed)
    write(rendering, path, format_name, **pictured)
    logging.getLogger("lenskit").info("%s holds %d images of %d x %d x %d", path, *rendering.shape)
    return 0


def _layers(simulator: str | None, recipe: str | None, config: str | None, assignments: tuple[str, ...]) -> Any:
    """Return the configurations that the flags select."""
    from lenskit.config import read_layers
    from lenskit.layers import split_assignment

    named = [{"simulator": {"name": simulator}}] if simulator else []
    layers = read_layers(recipe, config, named, dict(map(split_assignment, assignments)), ("simulator",))
    for section in layers[-1]:
        if section != "simulator":
            raise UsageError(f"render takes options of simulator, not of {section}: see --help")
    return layers
