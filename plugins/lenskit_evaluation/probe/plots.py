"""Plots of `lenskit probe`: R2 against the number of labels, and errors in bins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from lenskit.plugin import Parameter
from lenskit_evaluation.plots import COLORS, LOWEST_R2, plain_ticks
from lenskit_evaluation.probe.label_curves import Point, of_parameter
from lenskit_evaluation.probe.residuals import ELLIPTICITY, ROUND, Binned

LINEAR = (ELLIPTICITY,)
"""Quantities with a linear axis; all others have a logarithmic axis."""


def label_curves(points: Sequence[Point], parameters: Sequence[Parameter]) -> Figure:
    """Plot R2 against the number of labels, with a panel for each parameter.

    Each encoder has a line at the median over the random samples of lenses, and a band between the quartiles.

    Args:
        points: Points of all curves.
        parameters: Parameters to show.
    """
    columns = min(len(parameters), 2)
    rows = -(-len(parameters) // columns)
    labels = list(dict.fromkeys(point.label for point in points))
    figure = Figure(figsize=(4.2 * columns + 0.6, 3.0 * rows + 0.5 + 0.22 * -(-len(labels) // 4)), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True).flat
    for axes, parameter in zip(panels, parameters, strict=False):
        for label, curve in of_parameter(points, parameter.name).items():
            if not curve:  # the data set of this encoder lacks the label
                continue
            color = COLORS[labels.index(label) % len(COLORS)]
            style = "-" if labels.index(label) < len(COLORS) else "--"
            x = np.array([point.labels for point in curve])
            middle, low, high = np.array([np.quantile(point.r2, (0.5, 0.25, 0.75)) for point in curve]).T
            axes.plot(x, middle, style, marker="o", ms=3, color=color, label=label)
            axes.fill_between(x, low, high, color=color, alpha=0.15, lw=0)
        axes.axhline(0, color="0.25", lw=0.8)
        axes.set(xscale="log", ylim=(LOWEST_R2, 1.03))
        plain_ticks(axes, (1, 3))
        axes.set_title(parameter.label, loc="left", fontsize=11)
        axes.grid(color="0.9")
        axes.set_axisbelow(True)
    for axes in panels:
        axes.set_visible(False)
    for number in range(len(parameters)):
        if number + columns >= len(parameters):  # no panel below
            figure.axes[number].set_xlabel("labelled lenses")
            figure.axes[number].tick_params(labelbottom=True)
    figure.supylabel(r"$R^2$ of a ridge regression", fontsize=10)
    handles = {
        label: line for axes in figure.axes for line, label in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    figure.legend(
        list(handles.values()), list(handles), loc="outside lower center", ncols=min(len(labels), 4), frameon=False,
        fontsize=9,
    )  # fmt: skip
    return figure


def residual_panels(found: Sequence[Binned], parameters: Mapping[str, Parameter], title: str) -> Figure:
    """Plot the mean absolute error and the bias in bins.

    There is a row of panels for each parameter and a column for each binned quantity.

    Args:
        found: The errors in bins.
        parameters: Parameters by name.
        title: Title of the plot.
    """
    rows = list(dict.fromkeys(each.parameter for each in found))
    columns = list(dict.fromkeys(each.against for each in found))
    figure = Figure(figsize=(3.2 * len(columns) + 0.8, 2.2 * len(rows) + 1.0), layout="constrained")
    panels = figure.subplots(len(rows), len(columns), squeeze=False, sharey="row", sharex="col")
    for bins in found:
        axes = panels[rows.index(bins.parameter), columns.index(bins.against)]
        low, high = np.array(bins.low), np.array(bins.high)
        middle = (low + high) / 2 if bins.against in LINEAR else np.sqrt(low * high)
        across = np.stack([middle - low, high - middle]).clip(0)
        axes.errorbar(middle, bins.mae, bins.mae_error, across, fmt="o", ms=4, color=COLORS[0], label="mean |error|")
        axes.errorbar(middle, bins.bias, bins.bias_error, across, fmt="s", ms=4, color=COLORS[5], label="bias")
        axes.axhline(0, color="0.25", lw=0.8)
        if bins.against not in LINEAR:
            axes.set_xscale("log")
            plain_ticks(axes, (1, 2, 5))
        elif low.min() < ROUND < high.max():
            axes.axvline(ROUND, color="0.6", lw=0.8, ls=":")
        axes.grid(color="0.9")
        axes.set_axisbelow(True)
    for name, axes in zip(rows, panels[:, 0], strict=True):
        parameter = parameters[name]
        axes.set_ylabel(f"{parameter.label}{f' [{parameter.unit}]' if parameter.unit else ''}")
    for name, axes in zip(columns, panels[-1], strict=True):
        axes.set_xlabel(name)
    figure.suptitle(title, x=0.01, ha="left", fontsize=11)
    handles = panels[0, 0].get_legend_handles_labels()
    figure.legend(*handles, loc="outside lower center", ncols=2, frameon=False, fontsize=9)
    return figure
