"""`lenskit show`."""

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
"""How many numbers there are for lenses."""
SECTIONS = ("simulator", "data", "pairs", "train", "input")


@click.command("show", short_help="Draw lenses and their views")
@click.option("--recipe", metavar="NAME|FILE", help="Start from a recipe; see `lenskit list recipes`.")
@click.option("--config", metavar="FILE", help="Start from a configuration, such as a run's run.toml.")
@click.option("--simulator", help="Which simulator to use; see `lenskit list`.")
@click.option("--data", metavar="[READER:]PATH", help="Show stored images.")
@click.option(
    "--pairs", multiple=True,
    help="What is made of a lens; given twice, both are drawn side by side. Without it stored images are as they are.",
)  # fmt: skip
@click.option("--set", "assignments", multiple=True, metavar="SECTION.OPTION=VALUE", help="Set any option.")
@click.option("--seed", type=SEED, help="Seed of the lenses: they are those that training sees first.")
@click.option("--lenses", type=click.IntRange(1, 60), default=6, show_default=True, help="How many lenses.")
@click.option("--first", type=click.IntRange(0), default=0, show_default=True, help="Number of the first.")
@click.option("--before", is_flag=True, help="Show the images that the views are made of, too.")
@click.option("--parameters", metavar="A,B,...", help="Parameters to tell. [default: the headline ones]")
@click.option("--stretch", help="asinh, zscale, linear, imagenet, unsharp or multipole. [default: what a network sees]")
@click.option("--size", type=int, help="Pixels of the images as a network sees them. [default: all there are]")
@click.option("--rgb", metavar="R,G,B", help="Numbers of the channels for colours. [default: 0,1,2]")
@click.option("--dpi", type=click.IntRange(20, 1200), default=150, show_default=True, help="Pixels an inch.")
@click.option("--output", "-o", default="pairs.png", show_default=True, help="The picture: .png, .pdf or .svg.")
@click.option("--overwrite", is_flag=True, help="Replace a file that is no picture of lenskit's.")
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
    """Draw lenses and their views, with parameters: `lenskit show --simulator hst --pairs lens-fixed -o pairs.png`.

    Lenses are columns, the views of each are rows. Beneath stand the parameters that all views of a lens have in
    common, and beneath a view its own. Images are stretched and resized as a network sees them.
    """
    path = Path(output)
    if path.suffix[1:] not in ENDINGS:
        raise UsageError(f"{output} has to end in .{', .'.join(ENDINGS)}")
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
    """What a configuration shows of a lens.

    Args:
        config: Its simulator or data, pairs, stretch and size, and the seed.
        as_stored: Whether stored images are shown as they are, whatever the pairs.
        parameters: Names of the parameters to tell, separated by commas; nothing for the headline ones.
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
        """The views of some lenses; with `before`, what they are made of first.

        Raises:
            UsageError: if there are no such lenses.
            LenskitError: if an image is not finite.
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
    """The strategy that leaves images as they are: those that are stored of a lens, or that a strategy draws."""
    from lenskit.kinds.pairs import PairStrategy

    class AsDrawn(PairStrategy):
        draws = views = of.draws if isinstance(of, PairStrategy) else of.views
        shared_groups = of.shared_groups

    return AsDrawn()


def _chosen(parameters: Sequence[Parameter], names: str | None) -> list[Parameter]:
    """The parameters of those names; the headline ones if nothing is said, or else the first four."""
    if names is None:
        return [parameter for parameter in parameters if parameter.headline] or list(parameters[:4])
    by_name = {parameter.name: parameter for parameter in parameters}
    wanted = [name.strip() for name in names.split(",") if name.strip()]
    for name in wanted:
        if name not in by_name:
            from lenskit.errors import near

            there = ", ".join(by_name) or "none"
            raise UsageError(f"there is no parameter {name!r}{near(name, by_name)}; there are {there}")
    return [by_name[name] for name in wanted]


def _numbers(text: str) -> list[int]:
    """Three numbers of channels."""
    numbers = [int(part) for part in text.split(",") if part.strip().isdecimal()]
    if len(numbers) != 3 or text.count(",") != 2:
        raise UsageError(f"--rgb takes the numbers of three channels, such as 2,1,0, got {text!r}")
    return numbers


def _check_channels(rgb: Sequence[int], channels: int) -> None:
    """Raises a UsageError if images of so many channels cannot be drawn in these."""
    if channels < 3:
        raise UsageError(f"--rgb is for images of three channels or more, these have {channels}")
    if max(rgb) >= channels:
        raise UsageError(f"--rgb names channel {max(rgb)}: the images have channels 0 to {channels - 1}")
