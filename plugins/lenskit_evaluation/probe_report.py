"""What `lenskit probe` writes and prints: a table, a picture, and the figures for a program to read."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from lenskit.plugin import Parameter, write_atomically
from lenskit_evaluation.metrics import Score
from lenskit_evaluation.plots import r2_bars
from lenskit_evaluation.tables import show, to_csv, to_markdown

log = logging.getLogger("lenskit")

FIGURES = ("r2", "mae", "rmse", "bias", "spearman")
TITLE = "R2 of each parameter, with half its 95 % bootstrap interval"


@dataclass(frozen=True)
class Row:
    """What one kind of probe gets from one encoder.

    Attributes:
        label: Name of the encoder, or of the control.
        probe: `ridge`, `kNN`, or `-` where there is none.
        scores: For each parameter by name, how good it is.
    """

    label: str
    probe: str
    scores: dict[str, Score]


def write_report(
    rows: Sequence[Row],
    parameters: Sequence[Parameter],
    folders: Sequence[Path],
    *,
    settings: Mapping[str, Any],
    effective_ranks: Mapping[str, float],
) -> None:
    """Writes `results.json`, `table.csv`, `table.md` and `r2.png` into each folder, and prints the table.

    Args:
        rows: The table.
        parameters: What was probed.
        folders: Where to write.
        settings: What the figures depend on.
        effective_ranks: That of each encoder's features of the test lenses.
    """
    ordered = sorted(parameters, key=lambda parameter: (parameter.group != "lens", not parameter.headline))
    lens = [parameter for parameter in ordered if parameter.group == "lens"] or ordered
    chart = r2_bars(
        {row.label: {p.name: row.scores[p.name].r2 for p in lens} for row in rows if row.probe != "kNN"},
        {p.name: p.symbol for p in lens},
        "Ridge regression on frozen features",
    )
    plain = {
        "settings": dict(settings),
        "effective_ranks": dict(effective_ranks),
        "rows": [
            {"encoder": r.label, "probe": r.probe, "scores": {n: asdict(s) for n, s in r.scores.items()}} for r in rows
        ],
    }
    for folder in folders:
        write_atomically(folder / "results.json", json.dumps(without_nan(plain), indent=1) + "\n")
        write_atomically(folder / "table.csv", to_csv([line for row in rows for line in _long(row, ordered)]))
        write_atomically(folder / "table.md", f"{TITLE}.\n\n{to_markdown([_wide(row, ordered) for row in rows])}")
        write_atomically(folder / "r2.png", partial(chart.savefig, format="png", dpi=120))
    show([_wide(row, lens) for row in rows], TITLE)
    log.info("table: %s", folders[0] / "table.md")
    log.info("picture: %s", folders[0] / "r2.png")


def without_nan(value: Any) -> Any:
    """The same with null for what is not a number, as JSON wants it."""
    if isinstance(value, Mapping):
        return {key: without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [without_nan(item) for item in value]
    return None if isinstance(value, float) and math.isnan(value) else value


def _wide(row: Row, parameters: Sequence[Parameter]) -> dict[str, str]:
    """A row for people: R2 of each parameter and half the width of its interval."""
    cells = {"encoder": row.label, "probe": row.probe}
    for parameter in parameters:
        r2 = row.scores[parameter.name].r2
        defined = not math.isnan(r2.value)
        cells[parameter.name] = f"{r2.value:.3f} ±{(r2.high - r2.low) / 2:.3f}" if defined else "-"
    return cells


def _long(row: Row, parameters: Sequence[Parameter]) -> list[dict[str, Any]]:
    """Rows for programs: all figures, a row for each parameter."""
    lines = []
    for parameter in parameters:
        score = row.scores[parameter.name]
        line = {
            "encoder": row.label,
            "probe": row.probe,
            "parameter": parameter.name,
            "unit": parameter.unit,
            "n": score.n,
        }
        for figure in FIGURES:
            estimate = getattr(score, figure)
            line |= {figure: estimate.value, f"{figure}_low": estimate.low, f"{figure}_high": estimate.high}
        lines.append(line)
    return lines
