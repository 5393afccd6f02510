"""Plots of `lenskit anomaly`: ROC curves, histograms and reconstructions."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from numpy.typing import NDArray

from lenskit.toolbox import as_label
from lenskit_evaluation.anomaly.metrics import MANY, TOGETHER, Judged, Judgement
from lenskit_evaluation.anomaly.scored import Shown
from lenskit_evaluation.plots import COLORS

BINS = 40

WIDE = 30
"""Histograms are logarithmic if the 99.9th percentile of the scores is more than `WIDE` times the 0.1th percentile."""

SMALLEST, LARGEST = 1e-200, 1e200
"""Limits of plotted scores; beyond the limits, bin widths and ratios would underflow or overflow."""

NORMAL = "0.55"
"""Colour of normal images."""

PANEL, HEAD, GAP, SIDE = 1.1, 0.5, 0.15, 0.35
"""Side of an image, and the space above, below and to the left of images, in inches."""


def roc_curves(judged: Judged) -> Figure:
    """Plot the ROC curves of all detectors with 95 % bands.

    Each group of anomalies has a column of two panels. The axis of the false-positive rate is linear in the upper
    panel and logarithmic in the lower panel.
    """
    groups = judged.groups
    lines = len(judged.detectors)
    width, height = 1.0 + 3.6 * len(groups), 7.4 + 0.2 * lines
    figure = Figure(figsize=(width, height))
    figure.subplots_adjust(
        left=0.6 / width, right=1 - 0.2 / width, top=1 - 0.3 / height, bottom=(0.8 + 0.2 * lines) / height,
        wspace=0.2, hspace=0.22,
    )  # fmt: skip
    smallest = 1 / judged.truth.is_class(judged.truth.normal).sum()
    for axes_column, group in zip(figure.subplots(2, len(groups), squeeze=False).T, groups, strict=True):
        for axes in axes_column:
            for number, (name, one) in enumerate(judged.detectors.items()):
                _roc(axes, one, group, name, COLORS[number % len(COLORS)], "-" if number < len(COLORS) else "--")
            x = np.geomspace(smallest / 2, 1, 200)
            axes.plot(x, x, color="0.6", lw=1, ls=":")
            axes.set(ylim=(0, 1.005), xlim=(0, 1), xlabel="false-positive rate")
            axes.grid(color="0.92")
        upper, lower = axes_column
        upper.set_title(as_label(f"{judged.truth.normal} against {group}"), fontsize=10)
        lower.set(xscale="log", xlim=(smallest / 2, 1))
    for axes in figure.axes[:: len(groups)]:
        axes.set_ylabel("true-positive rate")
    handles, labels = figure.axes[len(groups) - 1].get_legend_handles_labels()
    figure.legend(handles, labels, loc="lower left", ncols=1, frameon=False, fontsize=9)
    return figure


def _roc(axes: Axes, one: Judgement, group: str, name: str, color: str, line: str) -> None:
    figures = one.figures[group]
    curve = figures.curve
    # A logarithmic axis has no zero: points with a false-positive rate of 0 are plotted at the left edge.
    x, levels = (np.maximum(rates, 1e-12) for rates in (curve.false_positive, curve.levels))
    axes.fill_between(levels, curve.low, curve.high, color=color, alpha=0.15, lw=0)
    # Steps: a threshold between two scores finds no more anomalies than a threshold at the higher score.
    label = f"{as_label(name)}: AUC {figures.auc}"
    axes.plot(x, curve.true_positive, color=color, lw=1.4, ls=line, label=label, drawstyle="steps-post")


def score_histograms(judged: Judged) -> Figure:
    """Plot histograms of the scores of each class, with a panel for each detector."""
    count = len(judged.detectors)
    columns = min(3, count)
    rows = -(-count // columns)
    width, height = 1.05 + 3.7 * columns, 0.4 + 2.8 * rows
    figure = Figure(figsize=(width, height))
    figure.subplots_adjust(
        left=0.85 / width, right=1 - 0.2 / width, top=1 - 0.65 / height, bottom=0.55 / height, wspace=0.2, hspace=0.5
    )
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes, (name, one) in zip(panels, judged.detectors.items(), strict=False):
        _histogram(axes, judged, one.scored.scores)
        axes.set_title(f"{as_label(name)}: AUC {one.together.auc.value:.3f}", loc="left", fontsize=10)
        axes.set_xlabel(one.scored.kind)
    for axes in panels[count:]:
        axes.remove()
    for axes in panels[:count:columns]:
        axes.set_ylabel("share of the class")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="upper left", ncols=len(labels), frameon=False, fontsize=9)
    return figure


def _histogram(axes: Axes, judged: Judged, scores: NDArray[np.float64]) -> None:
    truth = judged.truth
    folded = judged.groups if len(truth.anomalies) > MANY else truth.anomalies
    scores = np.where(np.abs(scores) < SMALLEST, 0, scores)
    finite = scores[np.isfinite(scores)].clip(-LARGEST, LARGEST)
    low, high = np.quantile(finite, [0.001, 0.999]).tolist() if len(finite) else (0.0, 1.0)
    if high - low <= 1e-12 * max(abs(low), abs(high)):
        half = 0.5 * max(1, abs(low))
        low, high = low - half, low + half
    ratios = low > 0 and high / low > WIDE
    edges = np.geomspace(low, high, BINS + 1) if ratios else np.linspace(low, high, BINS + 1)
    if ratios:
        axes.set_xscale("log")
    else:
        axes.ticklabel_format(axis="x", style="sci", scilimits=(-3, 4))
    axes.set_xlim(low, high)
    for number, name in enumerate((truth.normal, *folded)):
        label = as_label(name)
        # Scores outside the plotted range are counted in the outermost bins.
        rows = ~truth.is_class(truth.normal) if name == TOGETHER else truth.is_class(name)
        mine = scores[rows].clip(low, high)
        share = np.full(len(mine), 1 / len(mine))
        if number == 0:
            axes.hist(
                mine,
                edges.tolist(),
                weights=share,
                color=NORMAL,
                alpha=0.6,
                histtype="stepfilled",
                label=as_label(name),
            )
        else:
            color = COLORS[(number - 1) % len(COLORS)]
            axes.hist(mine, edges.tolist(), weights=share, color=color, lw=1.4, histtype="step", label=label)


def reconstructions(shown: Shown) -> Figure:
    """Plot images, reconstructions and residuals of the detectors that reconstruct.

    Images and reconstructions have the same colour scale. All residuals of a detector have one symmetric scale. Of an
    image with several channels, the mean of the channels is plotted.
    """
    columns, block = len(shown.classes), HEAD + 3 * PANEL + GAP
    width, height = SIDE + columns * PANEL + 2 * SIDE, len(shown.images) * block
    figure = Figure(figsize=(width, height))

    def panel(left: float, top: float, wide: float, high: float) -> Axes:
        """Add axes at distances in inches from the left and the top."""
        return figure.add_axes((left / width, 1 - (top + high) / height, wide / width, high / height))

    for number, (name, images) in enumerate(shown.images.items()):
        top = number * block
        figure.text(0.01, 1 - (top + 0.05) / height, as_label(name), ha="left", va="top", fontsize=11)
        image, made = (np.asarray(each, np.float64).mean(1) for each in (images, shown.reconstructions[name]))
        left = image - made
        most = max(float(np.quantile(np.abs(left), 0.999)), np.finfo(float).tiny)
        # Square root scale, because an arc is far fainter than the lens inside it.
        scale: dict[str, Any] = {"cmap": "magma", "norm": PowerNorm(0.5, float(image.min()), float(image.max()))}
        lines = {"image": (image, scale), "reconstruction": (made, scale)}
        lines["residual"] = (left, {"cmap": "RdBu_r", "vmin": -most, "vmax": most})
        for row, (title, (pictures, colours)) in enumerate(lines.items()):
            y = top + HEAD + row * PANEL
            for column, picture in enumerate(pictures):
                axes = panel(SIDE + column * PANEL, y, 0.97 * PANEL, 0.97 * PANEL)
                drawn = axes.imshow(picture, origin="lower", interpolation="nearest", **colours)
                axes.set(xticks=[], yticks=[])
                if row == 0:
                    axes.set_title(as_label(shown.classes[column]), fontsize=9, pad=3)
                if column == 0:
                    axes.set_ylabel(title, fontsize=9)
            if title != "reconstruction":
                bar = panel(SIDE + columns * PANEL + 0.06, y, 0.1, 0.97 * PANEL)
                figure.colorbar(drawn, cax=bar).ax.tick_params(labelsize=8)
    return figure
