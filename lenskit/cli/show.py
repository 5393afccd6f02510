"""Verb `lenskit show`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lenskit.cli.numbers import SEED
from lenskit.cli.output import echo
from lenskit.errors import LenskitError, UsageError

if TYPE_CHECKING:
    from lenskit.config import Config
    from lenskit.data.training_set import TrainingSet
    from lenskit.kinds.dataset import Dataset
    from lenskit.kinds.pairs import PairStrategy
    from lenskit.kinds.parameter import Parameter
    from lenskit.kinds.simulator import Simulator
    from lenskit.pictures import Views

ENDINGS = ("png", "pdf", "svg")
NUMBERS = 2**63
"""Number of lens numbers: they run from 0 to 2^63 - 1."""
SECTIONS = ("simulator", "data", "pairs", "train", "input")


@click.command("show", short_help="Plot lenses and their views")
@click.option("--recipe", metavar="NAME|FILE", help="Start from a recipe; see `lenskit list recipes`.")
@click.option("--config", metavar="FILE", help="Start from a configuration file, such as RUN/run.toml.")
@click.option("--simulator", metavar="NAME", help="Simulator to use; see `lenskit list simulators`.")
@click.option("--data", metavar="[READER:]PATH", help="Plot stored images instead of simulated ones.")
@click.option(
    "--pairs", multiple=True, metavar="NAME",
    help="Pair strategy that makes the views; see `lenskit list pairs`. Repeat the option to compare strategies side "
    "by side. Without it, stored images are plotted unchanged.",
)  # fmt: skip
@click.option(
    "--set", "assignments", multiple=True, metavar="SECTION.OPTION=VALUE",
    help="Set any option of the configuration; repeatable. `lenskit info NAME` lists the options of a component.",
)  # fmt: skip
@click.option("--seed", type=SEED, help="Random seed of the lenses; training with the same seed sees the same lenses.")
@click.option("--lenses", type=click.IntRange(1, 60), default=6, show_default=True, help="Number of lenses to plot.")
@click.option("--first", type=click.IntRange(0), default=0, show_default=True, help="Number of the first lens.")
@click.option("--before", is_flag=True, help="Also plot the images from which the views are made.")
@click.option(
    "--parameters", metavar="A,B,...", help="Parameters to print below the images. [default: the headline parameters]"
)
@click.option(
    "--stretch", metavar="NAME",
    help="asinh, zscale, linear, imagenet, unsharp or multipole. [default: the stretch of the configuration]",
)  # fmt: skip
@click.option("--size", type=int, metavar="PIXELS", help="Size to which images are resized. [default: their own size]")
@click.option("--rgb", metavar="R,G,B", help="Channel numbers for red, green and blue. [default: 0,1,2]")
@click.option(
    "--dpi", type=click.IntRange(20, 1200), default=150, show_default=True, help="Resolution in pixels per inch."
)
@click.option(
    "--output", "-o", metavar="FILE", default="pairs.png", show_default=True,
    help="Picture to write: .png, .pdf or .svg.",
)  # fmt: skip
@click.option("--overwrite", is_flag=True, help="Overwrite FILE even if lenskit did not write it.")
def command(
    recipe: str | None,
    config: str | None,
    simulator: str | None,
    data: str | None,
    pairs: tuple[str, ...],
    assignments: tuple[str, ...],
    lenses: int,
    first: int,
    before: bool,
    parameters: str | None,
    rgb: str | None,
    dpi: int,
    output: str,
    overwrite: bool,
    **flags: Any,
) -> None:
    """Plot lenses and their views: `lenskit show --simulator hst --pairs lens-fixed`.

    Each lens is a column and each view a row. Parameters that are the same in all views of a lens are printed below the
    column, other parameters below each view. Images are stretched and resized as for the network.
    """
    path = Path(output)
    if path.suffix[1:] not in ENDINGS:
        raise UsageError(f"{output} must end in .{', .'.join(ENDINGS)}")
    if not path.parent.is_dir():
        raise UsageError(f"there is no folder {path.parent}")
    from lenskit.destinations import check_output
    from lenskit.results import paths_of

    check_output(path, overwrite=overwrite, inputs=paths_of([recipe, config, data]), flag="-o")
    if first + lenses > NUMBERS:
        raise UsageError(f"lenses have numbers below 2^63: there is no lens {first}")
    channels = None if rgb is None else _numbers(rgb)

    from lenskit.config import Config, read_layers
    from lenskit.layers import split_assignment

    own: list[Any] = [{"input": {name: flags[name] for name in ("stretch", "size") if flags[name] is not None}}]
    if flags["seed"] is not None:
        own.append({"train": {"seed": flags["seed"]}})
    if data:
        if simulator:
            raise UsageError("--data and --simulator exclude each other: images are stored or simulated")
        from lenskit.data.readers import read_section

        own.append({"data": read_section(data)})
    if simulator:
        own.append({"simulator": {"name": simulator}})
    layers = read_layers(recipe, config, own, dict(map(split_assignment, assignments)), SECTIONS)

    names = pairs or (None,)
    as_stored = not pairs and not any("pairs" in layer for layer in layers)
    groups: list[Views] = []
    for name in names:
        resolved = Config.resolve(*layers, {"pairs": {"name": name}} if name else {}, only=SECTIONS)
        show = _Show(resolved, as_stored and "data" in resolved.sections, parameters)
        if channels:
            _check_channels(channels, show.training_set.image_shape[0])
        groups.append(show.views(range(first, first + lenses), before, titled=len(names) > 1))

    from lenskit.pictures import RGB, draw_views, write_picture

    write_picture(draw_views(groups, channels or RGB), path, dpi)
    echo(output)


class _Show:
    """Source of the views that a configuration describes.

    Args:
        config: Simulator or data, pairs, stretch, size and seed.
        as_stored: Whether stored images are plotted unchanged, without the pair strategy.
        parameters: Names of the parameters to print, separated by commas; None for the headline parameters.
    """

    def __init__(self, config: Config, as_stored: bool, parameters: str | None) -> None:
        from lenskit.preprocessing.preprocess import Preprocess

        self.config = config
        self.seed = config.build("train").seed
        self.simulator: Simulator | None = None
        self.dataset: Dataset | None = None
        if "data" in config.sections:
            images = self.dataset = config.build("data", Path(config.sections["data"]["path"]))
        else:
            images = self.simulator = config.build("simulator")
        self.preprocess = Preprocess.of(config.build("input"), images.pixel_scale)
        self.pairs = _as_drawn(self.dataset) if as_stored and self.dataset is not None else config.build("pairs")
        self.training_set = self._training_set(self.pairs)
        self.parameters = _chosen(self.training_set.parameters, parameters)

    def views(self, index: range, before: bool, titled: bool) -> Views:
        """Return the views of lenses.

        With `before`, the images from which the views are made come first.

        Raises:
            UsageError: There are no such lenses.
            LenskitError: An image is not finite.
        """
        import torch

        from lenskit.pictures import Views

        names: list[str] = []
        if self.dataset is not None:
            if index.start >= len(self.dataset):
                raise UsageError(f"the data hold {len(self.dataset)} lenses: there is no lens {index.start}")
            index = range(index.start, min(index.stop, len(self.dataset)))
            names = [self.dataset.names[lens] for lens in index]
        batch = self.training_set.by_index(index)
        images, values = list(batch.views), {p.name: batch.parameters[p.name] for p in self.parameters}
        labels = [f"view {number}" for number in range(1, len(images) + 1)]
        if before:
            drawn = self._training_set(_as_drawn(self.pairs)).by_index(index)
            labels = ["image" if self.pairs.draws == 1 else f"image {i + 1}" for i in range(self.pairs.draws)] + labels
            images = [*drawn.views, *images]
            values = {name: torch.cat([drawn.parameters[name], own], 1) for name, own in values.items()}
        for lens, image in zip(index, torch.stack(images, 1), strict=True):
            if not image.isfinite().all():
                raise LenskitError(f"an image of lens {names[lens - index.start] if names else lens} is not finite")
        return Views(
            self._title() if titled else "", labels, torch.stack(images, 1), self.parameters, values,
            [] if all(name.isdigit() for name in names) else names,
        )  # fmt: skip

    def _training_set(self, pairs: PairStrategy) -> TrainingSet:
        from lenskit.data.training_set import SimulatedTrainingSet, StoredTrainingSet

        if self.simulator is not None:
            return SimulatedTrainingSet(self.simulator, pairs, self.preprocess, self.seed)
        assert self.dataset is not None
        return StoredTrainingSet(self.dataset, pairs, self.preprocess, self.seed, keep="disk", workers=0)

    def _title(self) -> str:
        from lenskit.registry import registry

        name = self.config.name("pairs")
        summaries = [registry().find("pairs", part).component.summary for part in name.split("+")]
        return f"{name}: {', '.join(text[:1].lower() + text[1:] for text in summaries)}"


def _as_drawn(of: Dataset | PairStrategy) -> PairStrategy:
    """Return a strategy that leaves images unchanged.

    Its images are the stored images of a dataset, or the renderings that a strategy takes.
    """
    from lenskit.kinds.pairs import PairStrategy

    class AsDrawn(PairStrategy):
        draws = views = of.draws if isinstance(of, PairStrategy) else of.views
        shared_groups = of.shared_groups

    return AsDrawn()


def _chosen(parameters: Sequence[Parameter], names: str | None) -> list[Parameter]:
    """Return the named parameters.

    By default they are the headline parameters, or the first four parameters if there are no headline parameters.
    """
    if names is None:
        return [parameter for parameter in parameters if parameter.headline] or list(parameters[:4])
    by_name = {parameter.name: parameter for parameter in parameters}
    wanted = [name.strip() for name in names.split(",") if name.strip()]
    for name in wanted:
        if name not in by_name:
            from lenskit.errors import near

            known = ", ".join(by_name) or "none"
            raise UsageError(f"there is no parameter {name!r}{near(name, by_name)}; there are {known}")
    return [by_name[name] for name in wanted]


def _numbers(text: str) -> list[int]:
    """Return three channel numbers."""
    numbers = [int(part) for part in text.split(",") if part.strip().isdecimal()]
    if len(numbers) != 3 or text.count(",") != 2:
        raise UsageError(f"--rgb takes three channel numbers, such as 2,1,0, got {text!r}")
    return numbers


def _check_channels(rgb: Sequence[int], channels: int) -> None:
    """Raise a UsageError unless the images have the channels of --rgb."""
    if channels < 3:
        raise UsageError(f"--rgb needs images with three channels or more, these have {channels}")
    if max(rgb) >= channels:
        raise UsageError(f"--rgb names channel {max(rgb)}: the images have channels 0 to {channels - 1}")
