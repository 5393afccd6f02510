"""Plots of the views of lenses, with their parameters in the captions."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from textwrap import wrap

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure, SubFigure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from numpy.typing import NDArray
from torch import Tensor

from lenskit.drawing import save_figure
from lenskit.files import write_atomically
from lenskit.kinds.parameter import Parameter
from lenskit.ownership import STAMP
from lenskit.words import as_label, shortened

PER_LINE = 6
"""Largest number of lenses in a row."""

PANEL = 1.75
"""Width of a plotted image in inches."""

DARK, BRIGHT = 1.0, 99.95
"""Percentiles of the pixels at the two ends of the colour scale, so that a few bad pixels have no effect.

Colour composites take ten times `DARK` as the black level.
"""

CHARACTERS = 28
"""Largest number of characters of a line below an image."""

RGB = (0, 1, 2)
"""Channels that are shown as red, green and blue, in images with three channels or more."""

MAGMA = colormaps["magma"]
"""Colour map of images that are not shown as red, green and blue."""


@dataclass(frozen=True)
class Views:
    """Views of several lenses that are plotted together.

    Attributes:
        title: Title of the group.
        labels: Label of each view.
        images: (lenses, views, channels, height, width).
        parameters: Parameters in the captions, in this order.
        values: Values (lenses, views) by the name of the parameter; NaN if unknown.
        names: Name of each lens; empty for lenses without names.
    """

    title: str
    labels: Sequence[str]
    images: Tensor
    parameters: Sequence[Parameter]
    values: dict[str, Tensor]
    names: Sequence[str] = ()


def draw_views(groups: Sequence[Views], rgb: Sequence[int] = RGB) -> Figure:
    """Plot groups of views next to each other: lenses as columns, views as rows.

    Parameters that the views of every lens share are printed below the last view, other parameters below each view.

    Args:
        groups: The groups.
        rgb: Channels that are shown as red, green and blue.
    """
    layouts = [_Layout(group) for group in groups]
    lines = max(len(layout.title) for layout in layouts)
    figure = Figure(
        figsize=(sum(layout.width for layout in layouts), 0.2 * lines + max(layout.height for layout in layouts)),
        layout=ConstrainedLayoutEngine(w_pad=0.02, h_pad=0.02, wspace=0.01, hspace=0.01),
    )
    parts = figure.subfigures(
        1, len(groups), squeeze=False, wspace=0.02, width_ratios=[layout.width for layout in layouts]
    )[0]
    for part, group, layout in zip(parts, groups, layouts, strict=True):
        if lines:
            # All groups have the same height, so that their images are aligned.
            part.suptitle("\n".join(layout.title + [" "] * (lines - len(layout.title))), fontsize=10)
        _draw_group(part, group, layout, rgb)
    return figure


def write_picture(figure: Figure, path: Path, dpi: int) -> None:
    """Write a plot to a file, whose metadata mark it as a file of lenskit."""
    picture = BytesIO()
    key = "Software" if path.suffix == ".png" else "Creator"
    save_figure(figure, picture, format=path.suffix[1:], dpi=dpi, metadata={key: STAMP})
    write_atomically(path, picture.getbuffer())


class _Layout:
    """Positions of the elements of a group, in inches."""

    def __init__(self, group: Views) -> None:
        lenses, self.views, _, height, width = group.images.shape
        self.lines = -(-lenses // PER_LINE)
        self.columns = -(-lenses // self.lines)
        self.title = wrap(group.title, round(self.columns * PANEL * 13))
        self.captions = _captions(group)
        text = sum(max(len(lens[view]) for lens in self.captions) for view in range(self.views)) + bool(group.names)
        self.width = self.columns * PANEL + 0.3 * (self.views > 1)
        self.height = self.lines * (self.views * (PANEL * height / width + 0.06) + 0.17 * text)


def _captions(group: Views) -> list[list[list[str]]]:
    """Return the lines below each view of each lens, by lens and view.

    Parameters that differ between views are below each view, and shared parameters below the last view.
    """
    common: list[Parameter] = []
    own: list[Parameter] = []
    for parameter in group.parameters:
        values = group.values[parameter.name]
        same = bool(((values == values[:, :1]) | values.isnan()).all())
        (common if same else own).append(parameter)
    digits = {parameter.name: _digits(group.values[parameter.name]) for parameter in group.parameters}

    def told(parameters: Sequence[Parameter], lens: int, view: int) -> list[str]:
        values = ((parameter, float(group.values[parameter.name][lens, view])) for parameter in parameters)
        return _packed([_text(parameter, x, digits[parameter.name]) for parameter, x in values if not math.isnan(x)])

    lenses, views = group.images.shape[:2]
    return [
        [told(own, lens, view) + (told(common, lens, view) if view == views - 1 else []) for view in range(views)]
        for lens in range(lenses)
    ]


def _draw_group(part: SubFigure, group: Views, layout: _Layout, rgb: Sequence[int]) -> None:
    panels = part.subplots(layout.lines * layout.views, layout.columns, squeeze=False)
    for panel in panels.flat:
        panel.set_axis_off()
    for lens, captions in enumerate(layout.captions):
        line, column = divmod(lens, layout.columns)
        for view, lines in enumerate(captions):
            panel = panels[line * layout.views + view, column]
            _draw_image(panel, group.images[lens, view].numpy(), rgb)
            panel.set_xlabel("\n".join(lines), fontsize=8, labelpad=3, linespacing=1.3)
            if column == 0 and layout.views > 1:
                panel.set_ylabel(group.labels[view], fontsize=9)
            if view == 0 and group.names:
                panel.set_title(as_label(shortened(group.names[lens], CHARACTERS)), fontsize=8, pad=3)


def _draw_image(panel: Axes, image: NDArray[np.float32], rgb: Sequence[int]) -> None:
    """Plot an image: channels `rgb` in colour, or the mean of one or two channels."""
    panel.set_axis_on()
    panel.set(xticks=[], yticks=[])
    for spine in panel.spines.values():
        spine.set_visible(False)
    if len(image) > 2 and len(rgb) == 3:
        panel.imshow(composite(image[list(rgb)]), origin="lower", interpolation="nearest")
        return
    grey, low, high = _grey(image)
    panel.imshow(grey, origin="lower", cmap=MAGMA, vmin=low, vmax=high, interpolation="nearest")


def colours(image: NDArray[np.float32], rgb: Sequence[int] = RGB) -> NDArray[np.float64]:
    """Return the RGB colours (height, width, 3) of a stretched image, from 0 to 1.

    Args:
        image: (channels, height, width).
        rgb: Channels that are shown as red, green and blue.
    """
    if len(image) > 2 and len(rgb) == 3:
        return composite(image[list(rgb)]).astype(np.float64)
    grey, low, high = _grey(image)
    return MAGMA(Normalize(low, high, clip=True)(grey))[..., :3]


def _grey(image: NDArray[np.float32]) -> tuple[NDArray[np.float32], float, float]:
    """Return the mean of all channels, and the values at the ends of the colour scale."""
    grey = image.mean(0)
    low, high = np.percentile(grey, (DARK, BRIGHT))
    return grey, float(low), float(high)


def composite(image: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the RGB colours (height, width, 3) of three channels, from 0 to 1.

    The black level is separate for each channel. The scale is the same for all channels, so that red objects stay red.
    """
    low = np.percentile(image, 10 * DARK, axis=(1, 2), keepdims=True)
    bright = np.percentile(image - low, BRIGHT)
    return ((image - low) / (bright or 1.0)).clip(0, 1).transpose(1, 2, 0)


def _packed(texts: Sequence[str]) -> list[str]:
    """Join texts into lines that fit below an image."""
    lines: list[str] = []
    for text in texts:
        if lines and _length(lines[-1]) + 3 + _length(text) <= CHARACTERS:
            lines[-1] += "   " + text
        else:
            lines.append(text)
    return lines


def _length(text: str) -> int:
    """Estimate the number of visible characters of a text with formulas."""
    return len(re.sub(r"[${}_^]|\\,", "", re.sub(r"\\[a-z]+", "x", text)))


def _digits(values: Tensor) -> int:
    """Return the number of decimals, 0 to 3, that shows three digits of the maximum."""
    largest = float(values.nan_to_num(0, 0, 0).abs().max())
    return min(max(2 - math.floor(math.log10(largest)), 0), 3) if largest > 0 else 0


def _text(parameter: Parameter, value: float, digits: int) -> str:
    """Return a parameter with its value, such as `$\\theta_E = 1.23''$`."""
    symbol = parameter.label
    if parameter.classes and 0 <= value < len(parameter.classes):
        return f"{symbol}: {as_label(parameter.classes[int(value)])}"
    unit = {"": "", "arcsec": "''", "rad": r"\,\mathrm{rad}"}.get(parameter.unit)
    # A complete formula is set as one formula, for the spacing of its signs.
    formula = symbol[1:-1] if re.fullmatch(r"\$[^$]*\$", symbol) else ""
    before = f"${formula} =" if formula else f"{symbol} ${{}}="
    return (
        f"{before} {value:.{digits}f}$ {as_label(parameter.unit)}"
        if unit is None
        else f"{before} {value:.{digits}f}{unit}$"
    )
