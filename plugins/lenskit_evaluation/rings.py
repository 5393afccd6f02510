"""Plots of lenses with a ring at the predicted Einstein radius."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Circle, Wedge
from torch import Tensor

from lenskit.toolbox import Preprocess, as_label

MOST = 40
"""Maximum number of images in a plot."""

COLUMNS = 5

PANEL = 2.2
"""Width of a panel in inches."""

COLOUR = "#56B4E9"

FAINT, BRIGHT = -1, 2
"""Limits of the colour scale, in units of asinh(signal / (3 noise))."""


def draw_rings(
    images: Sequence[Tensor],
    radius: Sequence[float],
    half_width: float | None,
    *,
    names: Sequence[str],
    pixel_scale: float,
) -> Figure:
    """Plot images without lens light, each with a ring around the centre.

    A shaded band shows the interval of the radius.

    Args:
        images: n images (C, H, W), in any unit.
        radius: (n,) radii in arcsec.
        half_width: Half the width of the interval of the radius in arcsec; None without an interval.
        names: (n,) names of the images.
        pixel_scale: Size of a pixel in arcsec.

    Raises:
        UsageError: An image is too small for the model of the lens light.
    """
    preprocess = Preprocess("multipole")
    columns = min(COLUMNS, len(images))
    rows = math.ceil(len(images) / columns)
    figure = Figure(figsize=(PANEL * columns, (PANEL + 0.35) * rows), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False).flatten()
    for panel, image, value, name in zip(panels, images, radius, names, strict=False):
        channels, height, width = image.shape
        preprocess.shape((channels, height, width))
        middle = ((width - 1) / 2, (height - 1) / 2)
        panel.imshow(
            preprocess(image[None]).mean(1)[0].numpy(),
            origin="lower",
            interpolation="nearest",
            cmap="inferno",
            vmin=FAINT,
            vmax=BRIGHT,
        )
        if np.isfinite(value) and value > 0:
            panel.add_patch(Circle(middle, value / pixel_scale, fill=False, color=COLOUR, linewidth=1))
        caption = f"{value:.2f}''"
        if half_width is not None and np.isfinite(value):
            caption += f" +- {half_width:.2f}''"
            outer = (value + half_width) / pixel_scale
            band = min(2 * half_width / pixel_scale, outer)
            panel.add_patch(Wedge(middle, outer, 0, 360, width=band, color=COLOUR, alpha=0.25, linewidth=0))
        panel.set(xticks=[], yticks=[], xlim=(-0.5, width - 0.5), ylim=(-0.5, height - 0.5))
        panel.set_title(f"{as_label(name)}\n{caption}", fontsize=7)
    for panel in panels[len(images) :]:
        panel.set_axis_off()
    return figure
