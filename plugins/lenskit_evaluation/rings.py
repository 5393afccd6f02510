"""Images of lenses with a ring where their Einstein radius was predicted."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Circle, Wedge
from torch import Tensor

from lenskit.plugin import Preprocess, as_label
from lenskit_evaluation.splits import Array

MOST = 40
"""Images that are drawn at most."""

COLUMNS = 5

PANEL = 2.2
"""Width of a panel in inches."""

COLOUR = "#56B4E9"

FAINT, BRIGHT = -1, 2
"""Limits of the colours: asinh of a third of the light over its noise."""


def draw_rings(
    images: Tensor, radius: Array, half_width: float | None, *, names: Sequence[str], pixel_scale: float
) -> Figure:
    """Draw lenses without their lens light, each with a ring of its radius about the middle, as wide as its interval.

    Args:
        images: (n, C, H, W), in any unit.
        radius: (n,) in arcsec.
        half_width: Half the width of the intervals in arcsec, if there are any.
        names: Of the images.
        pixel_scale: Size of a pixel in arcsec.
    """
    columns = min(COLUMNS, len(images))
    rows = math.ceil(len(images) / columns)
    figure = Figure(figsize=(PANEL * columns, (PANEL + 0.35) * rows), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False).flatten()
    shown = Preprocess("multipole")(images).mean(1)
    middle = ((images.shape[-1] - 1) / 2, (images.shape[-2] - 1) / 2)
    for panel, image, value, name in zip(panels, shown, radius, names, strict=False):
        panel.imshow(image, origin="lower", interpolation="nearest", cmap="inferno", vmin=FAINT, vmax=BRIGHT)
        if np.isfinite(value) and value > 0:
            panel.add_patch(Circle(middle, value / pixel_scale, fill=False, color=COLOUR, linewidth=1))
        told = f"{value:.2f}''"
        if half_width is not None and np.isfinite(value):
            told += f" +- {half_width:.2f}''"
            outer = (value + half_width) / pixel_scale
            width = min(2 * half_width / pixel_scale, outer)
            panel.add_patch(Wedge(middle, outer, 0, 360, width=width, color=COLOUR, alpha=0.25, linewidth=0))
        panel.set(xticks=[], yticks=[], xlim=(-0.5, images.shape[-1] - 0.5), ylim=(-0.5, images.shape[-2] - 0.5))
        panel.set_title(f"{as_label(name)}\n{told}", fontsize=7)
    for panel in panels[len(images) :]:
        panel.set_axis_off()
    return figure
