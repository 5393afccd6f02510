"""Plot of the AUC of the adversarial autoencoder against the number of updates."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from published import TOGETHER


def draw_curve(told: Mapping[str, Any], path: Path) -> bool:
    """Plot AUC against the number of updates, with a line for each model.

    The points are the rows `aae-UPDATES` and `aae` of the table.

    Args:
        told: Result of `outcome`.
        path: Image to write.

    Returns:
        Whether a plot was written; this needs at least two points.
    """
    size = told["settings"]
    last = size["train"] * size["epochs"] // (size["batch_size"] or 1)
    lines = {}
    for model, found in told["models"].items():
        points = {}
        for name, figures in found["detectors"].items():
            method, _, updates = name.partition("-")
            if method == "aae" and (not updates or updates.isdigit()):
                points[int(updates) if updates else last] = figures["AUC"][TOGETHER]
        if len(points) > 1:
            lines[model] = sorted(points.items())
    if not lines:
        return False
    figure = Figure(figsize=(5, 3.6), layout="constrained")
    axes = figure.subplots()
    for model, points in lines.items():
        x = [updates for updates, _ in points]
        y = [each["value"] for _, each in points]
        spread = [
            [each["value"] - each["low"] for _, each in points],
            [each["high"] - each["value"] for _, each in points],
        ]
        axes.errorbar(x, y, spread, marker="o", capsize=3, label=f"Model {model.upper()}")
    axes.axhline(0.5, color="0.7", lw=0.8)
    axes.set(xscale="log", xlabel=f"updates of the AAE ({size['batch_size']} images each)", ylabel="AUC, all anomalies")
    axes.legend()
    figure.savefig(path, dpi=120)
    return True
