"""Plots of the accuracy of predictions."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter
from numpy.typing import ArrayLike

from lenskit.toolbox import as_label, escaped, settle_texts
from lenskit_evaluation.bootstrap import Estimate
from lenskit_evaluation.metrics import Score

COLORS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#999999")
"""Okabe and Ito's palette for colour-blind readers (https://jfly.uni-koeln.de/color/), with grey instead of black."""

LOWEST_R2 = -0.25
"""Lower end of the R2 axis; longer bars are labelled with their value."""

NAMED_POINTS = 40
"""Names are written next to the points if there are at most this many points."""

Box = tuple[float, float, float, float]
"""Left, bottom, right and top, in pixels."""

_DIRECTIONS = ((1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (-1, 1), (1, -1), (-1, -1))
_DISTANCES = (7, 14, 21)
"""Possible positions of a name relative to a point: directions, and distances in typographic points."""


def r2_bars(
    rows: Mapping[str, Mapping[str, Estimate]], symbols: Mapping[str, str], title: str = "Linear probe"
) -> Figure:
    """Plot R2 as a group of bars for each parameter, with one bar for each row.

    Args:
        rows: R2 by the name of the row (a run, a baseline or a control) and by the name of the parameter. There is no
            bar if a row lacks the parameter, or if R2 is not defined.
        symbols: Symbol of each parameter, such as `$\\theta_E$`, in the order of the groups.
        title: Title of the plot.
    """
    return r2_panels({title: rows}, symbols)


def r2_panels(panels: Mapping[str, Mapping[str, Mapping[str, Estimate]]], symbols: Mapping[str, str]) -> Figure:
    """Plot several panels of R2 bars, one below the other.

    Rows with the same name have the same colour in all panels.

    Args:
        panels: Rows of each panel by its title; see `r2_bars`.
        symbols: Symbol of each parameter; see `r2_bars`.
    """
    labels = list(dict.fromkeys(label for rows in panels.values() for label in rows))
    most = max(map(len, panels.values()))
    width = max(6.0, 1.2 + len(symbols) * (0.4 + 0.16 * most))
    columns = max(1, min(len(labels), int(width / 2)))
    height = 3.2 * len(panels) + 0.6 + 0.22 * -(-len(labels) // columns)
    figure = Figure(figsize=(width, height), layout="constrained")
    for axes, (title, rows) in zip(figure.subplots(len(panels), squeeze=False)[:, 0], panels.items(), strict=True):
        _bars(axes, rows, symbols, labels)
        axes.set_title(title, loc="left", fontsize=11)
    handles = {
        label: bars for axes in figure.axes for bars, label in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    shown = [label for label in labels if label in handles]
    figure.legend(
        [handles[label] for label in shown],
        list(map(as_label, shown)),
        loc="outside lower center",
        ncols=columns,
        frameon=False,
        fontsize=9,
    )
    return figure


def _bars(
    axes: Axes, rows: Mapping[str, Mapping[str, Estimate]], symbols: Mapping[str, str], labels: Sequence[str]
) -> None:
    width = 0.8 / len(rows)
    lowest = 0.0
    for number, (label, estimates) in enumerate(rows.items()):
        defined = [(group, estimates[name]) for group, name in enumerate(symbols) if _defined(estimates.get(name))]
        x = np.array([group for group, _ in defined]) + (number - (len(rows) - 1) / 2) * width
        values = np.array([estimate.value for _, estimate in defined])
        bars = np.array([(e.value - e.low, e.high - e.value) for _, e in defined]).reshape(-1, 2).clip(0)
        color = labels.index(label)
        axes.bar(
            x, values, 0.92 * width, yerr=bars.T, label=label, color=COLORS[color % len(COLORS)],
            hatch="//" if color >= len(COLORS) else None, error_kw={"lw": 1, "ecolor": "0.25"},
        )  # fmt: skip
        lowest = min([lowest, *values])
        for place, value in zip(x, values, strict=True):
            if value < LOWEST_R2:
                axes.text(
                    place, LOWEST_R2, f" {value:.3g}", rotation=90, ha="center", va="bottom", fontsize=7,
                    bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.5, "alpha": 0.8},
                )  # fmt: skip
    axes.axhline(0, color="0.25", lw=0.8)
    axes.set(ylim=(max(LOWEST_R2, lowest - 0.05) if lowest < 0 else 0, 1.03), xlim=(-0.6, len(symbols) - 0.4))
    name_groups(axes, [symbol or as_label(name) for name, symbol in symbols.items()], 12)
    axes.set_ylabel(r"$R^2$")
    axes.grid(axis="y", color="0.9")
    axes.set_axisbelow(True)


def truth_against_prediction(
    truth: ArrayLike, prediction: ArrayLike, score: Score, *,
    symbol: str, unit: str = "", constant: float | None = None, half_width: ArrayLike | None = None,
    names: Sequence[str] = (), noun: str = "images",
) -> Figure:  # fmt: skip
    """Plot predictions against true values, and the line prediction = truth.

    Args:
        truth: (n,), NaN if not known; such images are left out.
        prediction: (n,).
        score: Metrics of the predictions, for the title.
        symbol: Symbol of the parameter, such as `$\\theta_E$`.
        unit: Unit of the parameter.
        constant: Best constant prediction, plotted as a horizontal line.
        half_width: Half the width of the interval of each prediction, (n,) or one number for all predictions.
        names: (n,) names of the images, written next to the points if there are at most `NAMED_POINTS` points.
        noun: Plural noun for the images in the title, for example "lenses".
    """
    finite = np.isfinite(np.asarray(truth, np.float64))
    x, y = np.asarray(truth, np.float64)[finite], np.asarray(prediction, np.float64)[finite]
    figure = Figure(figsize=(6.4, 6.4), layout="constrained")
    axes = figure.subplots()
    few = len(x) <= NAMED_POINTS
    if half_width is not None:
        half = np.broadcast_to(np.asarray(half_width, np.float64), finite.shape)[finite]
        axes.errorbar(x, y, half, fmt="none", ecolor=COLORS[0], alpha=0.35 if few else 0.1, lw=1, zorder=1)
    axes.scatter(x, y, s=28 if few else 6, color=COLORS[0], alpha=1 if few else 0.4, lw=0, zorder=2)
    low, high = min(x.min(), y.min()), max(x.max(), y.max())
    margin = 0.08 * (high - low) or 0.5
    limits = (low - margin, high + margin)
    axes.plot(limits, limits, color="0.25", lw=1, label="prediction = truth", zorder=0)
    if constant is not None:
        label = f"constant {constant:.3g}: mean absolute error {np.abs(x - constant).mean():.3f}"
        axes.axhline(constant, color=COLORS[5], lw=1, ls="--", label=label, zorder=0)
    axes.set(xlim=limits, ylim=limits, aspect="equal")
    in_unit = f" [{unit}]" if unit else ""
    axes.set(xlabel=f"true {symbol}{in_unit}", ylabel=f"predicted {symbol}{in_unit}")
    axes.set_title(_summary(symbol, unit, score, noun), loc="left", fontsize=9)
    figure.legend(loc="outside lower center", ncols=2, fontsize=8, frameon=False)
    if len(names) and few:
        _name_points(figure, axes, x, y, [name for name, shown in zip(names, finite, strict=True) if shown])
    return figure


def name_groups(axes: Axes, words: Sequence[str], fontsize: float) -> None:
    """Write a name below each group of bars, slanted if any name is long."""
    # Formulas between dollar signs are shorter in the plot than in the source text.
    long = any(len(re.sub(r"\$[^$]*\$", "$", word)) > 4 for word in words)
    slant: dict[str, Any] = {"rotation": 30, "ha": "right", "rotation_mode": "anchor"} if long else {}
    axes.set_xticks(
        range(len(words)), [*map(escaped, words)], fontsize=min(fontsize, 10) if long else fontsize, **slant
    )


def plain_ticks(axes: Axes, steps: Sequence[float]) -> None:
    """Label a logarithmic x axis with plain numbers at steps within each decade."""
    axes.xaxis.set_major_locator(LogLocator(subs=steps))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())


def _defined(estimate: Estimate | None) -> bool:
    return estimate is not None and bool(np.isfinite(estimate.value))


def _summary(symbol: str, unit: str, score: Score, noun: str) -> str:
    in_unit = f" in {unit}" if unit else ""
    return (
        f"{symbol} of {score.n} {noun}{in_unit}\n"
        f"rank correlation {score.spearman}, $R^2$ {score.r2}\n"
        f"mean absolute error {score.mae}, bias {score.bias}"
    )


def _name_points(figure: Figure, axes: Axes, x: np.ndarray, y: np.ndarray, names: Sequence[str]) -> None:
    """Write a name next to each point.

    Each name gets the position with the least overlap with points and earlier names.
    """
    settle_texts(figure)
    figure.canvas.draw()  # computes the final layout, which determines the positions of the names
    figure.set_layout_engine("none")
    pixel = figure.dpi / 72  # pixels per typographic point
    points = axes.transData.transform(np.column_stack([x, y]))
    taken = [(px - 3 * pixel, py - 3 * pixel, px + 3 * pixel, py + 3 * pixel) for px, py in points]
    left, bottom, right, top = axes.get_window_extent().extents
    frame = (left, bottom, right, top)
    for number in np.argsort(-y):
        name = axes.annotate(
            as_label(names[number]), (x[number], y[number]), (0, 0), textcoords="offset points",
            ha="center", va="center", fontsize=7,
        )  # fmt: skip
        left, bottom, right, top = name.get_window_extent().extents
        width, height = right - left, top - bottom
        choices = []
        for (h, v), distance in product(_DIRECTIONS, _DISTANCES):
            dx, dy = h * (distance * pixel + width / 2), v * (distance * pixel + height / 2)
            cx, cy = points[number] + (dx, dy)
            box = (cx - width / 2, cy - height / 2, cx + width / 2, cy + height / 2)
            cost = sum(_overlap(box, other) for other in taken) + _outside(box, frame) + distance
            choices.append((cost, (dx / pixel, dy / pixel), box))
        _, place, box = min(choices, key=lambda choice: choice[0])
        name.set_position(place)
        taken.append(box)


def _overlap(a: Box, b: Box) -> float:
    """Return the area of the intersection of two boxes."""
    return max(0.0, min(a[2], b[2]) - max(a[0], b[0])) * max(0.0, min(a[3], b[3]) - max(a[1], b[1]))


def _outside(box: Box, frame: Box) -> float:
    """Return the area of the part of a box that is outside the frame."""
    return (box[2] - box[0]) * (box[3] - box[1]) - _overlap(box, frame)
