"""Plot of query images and their nearest neighbours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from textwrap import shorten

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor

from lenskit.plugin import Parameter
from lenskit.toolbox import as_label, border_noise, colours

PANEL = 1.45
"""Width and height of an image in inches."""

CAPTION = 0.145
"""Height of a line of text below an image in inches."""

CHARACTERS = 22
"""Maximum number of characters of a name below an image."""

UNITS = {"": "", "arcsec": "''", "rad": " rad", "deg": "°"}


@dataclass(frozen=True)
class Row:
    """Query image and its neighbours.

    Attributes:
        name: Name of the query image.
        image: (C, H, W), the query image.
        values: Values of the known parameters of the query image by name.
        neighbours: k names of the neighbours.
        images: (k, C, H, W), images of the neighbours.
        distances: (k,), distances of the neighbours.
        neighbour_values: Values (k,) of each parameter of the neighbours by name.
    """

    name: str
    image: Tensor
    values: Mapping[str, float]
    neighbours: Sequence[str]
    images: Tensor
    distances: NDArray[np.float64]
    neighbour_values: Mapping[str, NDArray[np.float64]]


def neighbours_figure(
    rows: Sequence[Row], parameters: Sequence[Parameter], own: Sequence[Parameter], title: str
) -> Figure:
    """Plot a row for each query image and its neighbours.

    Distances and parameters of the neighbours are below the images.

    Args:
        rows: One row or more.
        parameters: Parameters of the neighbours to show.
        own: Known parameters of the query images; the parameters that are also in `parameters` are shown.
        title: Title of the plot.
    """
    columns = 1 + len(rows[0].neighbours)
    height = PANEL + CAPTION * (2 + len(parameters)) + 0.1
    figure = Figure(figsize=(columns * (PANEL + 0.05), height * len(rows) + 0.3))
    figure.suptitle(title, fontsize=9, x=0.01, y=1 - 0.06 / figure.get_figheight(), ha="left", va="top")
    total = figure.get_figheight()
    wanted = {parameter.name for parameter in parameters}
    for number, row in enumerate(rows):
        bottom = 1 - (0.3 + number * height + PANEL) / total

        def panel(column: int, bottom: float = bottom) -> Axes:
            return figure.add_axes((column / columns + 0.02 / columns, bottom, 0.96 / columns, PANEL / total))

        known = [parameter for parameter in own if parameter.name in wanted]
        _draw(panel(0), row.image, [row.name, "(query)", *_texts(known, row.values)], frame="#D55E00")
        for column, name in enumerate(row.neighbours):
            values = {key: float(value[column]) for key, value in row.neighbour_values.items()}
            lines = [name, f"distance {_number(row.distances[column])}", *_texts(parameters, values)]
            _draw(panel(1 + column), row.images[column], lines)
    return figure


def _draw(panel: Axes, image: Tensor, lines: Sequence[str], frame: str | None = None) -> None:
    stretched = (image / (3 * border_noise(image))).asinh().float().cpu().numpy()
    panel.imshow(colours(stretched), origin="lower", interpolation="nearest")
    panel.set(xticks=[], yticks=[])
    for spine in panel.spines.values():
        spine.set(visible=frame is not None, color=frame, linewidth=2)
    short = shorten(lines[0], CHARACTERS, placeholder="...") if " " in lines[0] else lines[0][-CHARACTERS:]
    panel.set_xlabel("\n".join([as_label(short), *lines[1:]]), fontsize=7, labelpad=2, linespacing=1.25)


def _texts(parameters: Sequence[Parameter], values: Mapping[str, float]) -> list[str]:
    return [_text(parameter, values[parameter.name]) for parameter in parameters]


def _text(parameter: Parameter, value: float) -> str:
    """Return a parameter and its value as text, such as `$\\theta_E$ = 1.23''`."""
    symbol = parameter.label
    if np.isnan(value):
        return f"{symbol}: not known"
    if parameter.classes and 0 <= value < len(parameter.classes):
        return f"{symbol}: {as_label(parameter.classes[int(value)])}"
    return f"{symbol} = {value:.2f}{UNITS.get(parameter.unit, f' {as_label(parameter.unit)}')}"


def _number(distance: float) -> str:
    """Format a distance; enough digits distinguish a small distance from zero."""
    return f"{distance:.3f}" if distance >= 0.01 or distance < 1e-9 else f"{distance:.1e}"
