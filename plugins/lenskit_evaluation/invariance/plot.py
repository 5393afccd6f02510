"""Plot of kept and forgotten parameters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from lenskit_evaluation.invariance.selectivity import Selectivity
from lenskit_evaluation.plots import COLORS, name_groups


def invariance_bars(found: Mapping[str, Selectivity], symbols: Mapping[str, str], kept: str) -> Figure:
    """Plot bars of the skills of all parameters, and of the scores.

    Parameters to keep are on the left, parameters to forget in the middle, and scores on the right.

    Args:
        found: Results by the label of the representation.
        symbols: Symbols of the parameters by name, in the order of the bars.
        kept: Names of the groups to keep.
    """
    items = [(name, item) for each in found.values() for name, item in each.items.items()]
    of_side = {
        side: [name for name in symbols if any(n == name and item.kept == side for n, item in items)]
        for side in (True, False)
    }
    widths = [max(len(names), 1) * (0.35 + 0.13 * len(found)) for names in of_side.values()]
    figure = Figure(figsize=(max(8.0, sum(widths) + 4.0), 4.6), layout="constrained")
    left, right, scores = figure.subplots(1, 3, width_ratios=[*widths, 2.4])
    for axes, side, title in ((left, True, f"to keep: {kept}"), (right, False, "to forget")):
        _bars(axes, found, of_side[side], symbols)
        axes.set_title(title, loc="left", fontsize=11)
    right.sharey(left)
    left.set_ylabel("skill: $R^2$, or kappa of a class")
    _scores(scores, found)
    handles, labels = left.get_legend_handles_labels()
    if not handles:
        handles, labels = right.get_legend_handles_labels()
    mark = Line2D([], [], color="black", lw=1.6)
    words = "given away by the lens light (left), implied by the lens (right)"
    figure.legend(
        [*handles, mark], [*labels, words], loc="outside lower center", ncols=min(len(found) + 1, 5), frameon=False,
        fontsize=9,
    )  # fmt: skip
    return figure


def _bars(axes: Axes, found: Mapping[str, Selectivity], names: list[str], symbols: Mapping[str, str]) -> None:
    width = 0.84 / len(found)
    for number, (label, selectivity) in enumerate(found.items()):
        shift = (number - (len(found) - 1) / 2) * width
        shown = [(place, selectivity.items[name]) for place, name in enumerate(names) if name in selectivity.items]
        shown = [(place, item) for place, item in shown if np.isfinite(item.skill.value)]
        x = np.array([place for place, _ in shown]) + shift
        # Negative skills are plotted as 0, but the upper end of the interval is not moved.
        ends = np.array([(i.skill.value, i.skill.low, i.skill.high) for _, i in shown]).reshape(-1, 3)
        skill, low, high = ends.clip(0).T
        errors = np.nan_to_num([skill - low, high - skill]).clip(0)
        color = COLORS[number % len(COLORS)]
        axes.bar(
            x, skill, 0.94 * width, yerr=errors, label=label, color=color,
            hatch="//" if number >= len(COLORS) else None, error_kw={"lw": 0.8, "ecolor": "0.35"},
        )  # fmt: skip
        marked = [(place + shift, max(item.given, 0)) for place, item in shown if np.isfinite(item.given)]
        if marked:
            at, level = np.array(marked).T
            axes.hlines(level, at - width / 2, at + width / 2, color="black", lw=1.6, zorder=3)
    axes.set(xlim=(-0.6, max(len(names), 1) - 0.4), ylim=(0, 1.03))
    name_groups(axes, [symbols[name] for name in names], 10)
    axes.grid(axis="y", color="0.9")
    axes.set_axisbelow(True)


def _scores(axes: Axes, found: Mapping[str, Selectivity]) -> None:
    """Plot the score of each representation."""
    for number, selectivity in enumerate(found.values()):
        score = selectivity.score
        if not np.isfinite(score.value):
            continue
        color = COLORS[number % len(COLORS)]
        axes.barh(number, score.value, 0.7, color=color)
        if np.isfinite(score.low):
            axes.hlines(number, score.low, score.high, color="0.25", lw=1)
        end = max(0.0, score.value, score.high if np.isfinite(score.high) else 0.0)
        axes.annotate(f"{score.value:+.2f}", (end, number), (4, 0), textcoords="offset points", va="center", fontsize=9)
    ends = [v for each in found.values() for v in asdict(each.score).values() if np.isfinite(v)]
    low, high = min([0.0, *ends]), max([0.1, *ends])
    axes.axvline(0, color="0.25", lw=0.8)
    axes.set(xlim=(low - 0.05, high + 0.3 * (high - low) + 0.05), ylim=(len(found) - 0.4, -0.6))
    axes.set_yticks(range(len(found)), list(found), fontsize=9)
    axes.set_title("score: kept - left (at most 1)", loc="left", fontsize=11)
    axes.grid(axis="x", color="0.9")
    axes.set_axisbelow(True)
