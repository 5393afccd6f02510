"""Plots of `lenskit transfer`: coverage of intervals, and distances of images."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from lenskit_evaluation.bootstrap import Estimate
from lenskit_evaluation.plots import COLORS, plain_ticks
from lenskit_evaluation.transfer.domain_gap import Gap

BINS = 40


def coverage_curves(found: Mapping[str, Mapping[float, Estimate]], symbol: str, count: int) -> Figure:
    """Plot the share of labels inside intervals against the intervals' probability.

    Args:
        found: Share of labels by the label of the encoder and the probability of the interval.
        symbol: Symbol of the parameter, for the title.
        count: Number of labels.
    """
    figure = Figure(figsize=(4.8, 4.8), layout="constrained")
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color="0.25", lw=1, label="as stated")
    for number, (label, shares) in enumerate(found.items()):
        # Shifted sideways, so that error bars do not hide each other.
        x = np.array(list(shares)) + 0.012 * (number - (len(found) - 1) / 2)
        values = np.array([share.value for share in shares.values()])
        ends = np.array([(share.value - share.low, share.high - share.value) for share in shares.values()])
        axes.errorbar(
            x, values, np.nan_to_num(ends).clip(0).T, fmt="o", ms=5, lw=1.2, color=COLORS[number % len(COLORS)],
            label=label,
        )  # fmt: skip
    axes.set(xlim=(0, 1), ylim=(0, 1.02), aspect="equal")
    axes.set(xlabel="probability of the interval", ylabel=f"share of the labels within ({count} images)")
    axes.set_title(f"intervals of {symbol} from simulated lenses", loc="left", fontsize=11)
    axes.grid(color="0.9")
    axes.legend(loc="upper left", fontsize=9, frameon=False)
    return figure


def distance_histograms(gaps: Mapping[str, Gap]) -> Figure:
    """Plot the distances of images from simulated lenses.

    A histogram shows held-out simulated lenses, and lines show the images.

    Args:
        gaps: Domain gap by the label of the encoder.
    """
    figure = Figure(figsize=(9.5, 0.8 + 2.3 * len(gaps)), layout="constrained")
    for axes_row, (label, gap) in zip(figure.subplots(len(gaps), 2, squeeze=False), gaps.items(), strict=True):
        kinds = {"Mahalanobis": gap.mahalanobis, "10 nearest neighbours": gap.neighbors}
        for axes, (kind, distance) in zip(axes_row, kinds.items(), strict=True):
            # Logarithmic, because some images are many times farther away than most.
            both = np.concatenate([distance.images, distance.usual]).clip(1e-9)
            edges = np.geomspace(both.min(), both.max() * (1 + 1e-9) + 1e-12, BINS + 1)
            axes.hist(
                distance.usual, edges, weights=np.full(len(distance.usual), 1 / len(distance.usual)), color="0.8",
                label="held-out simulated lenses",
            )  # fmt: skip
            axes.vlines(distance.images, 0, 0.25, transform=axes.get_xaxis_transform(), color=COLORS[5], lw=1,
                        label="the images")  # fmt: skip
            axes.set_xscale("log")
            plain_ticks(axes, (1, 2, 5) if edges[-1] < 300 * edges[0] else (1,))
            axes.tick_params(axis="x", which="both", labelsize=7)
            axes.set_yticks([])
            median = float(np.median(distance.percentile))
            axes.set_title(f"{label}, {kind}: median of the images at {median:.0f} %", loc="left", fontsize=9)
        axes_row[1].text(
            0.98, 0.92, f"classifier: AUC {gap.auc.value:.2f}\nenergy distance {gap.energy:.3f} (p {gap.p:.3f})",
            transform=axes_row[1].transAxes, ha="right", va="top", fontsize=8,
        )  # fmt: skip
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=2, frameon=False, fontsize=9)
    return figure
