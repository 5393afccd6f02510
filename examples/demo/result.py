"""Print the result of `make demo`: R2 of theta_E for each encoder.

The script also prints the paths of the other results.

    python examples/demo/result.py [RUNS]

RUNS is the folder of both runs, by default `runs`. Run `lenskit probe` on them first.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

RESULTS = Path("lensiam/evaluations/probe")
PARAMETER = "theta_E"
NAMES = {
    "lensiam": "lensiam (pairs share the lens)",
    "simsiam": "simsiam (pairs share the image)",
    "random": "random (never trained)",
    "pixels": "pixels (no network)",
    "constant": "constant",
}
"""Descriptions of the rows of the table, by label."""

NEXT = (
    "lenskit explore {}/lensiam",
    "lenskit invariance {0}/lensiam {0}/simsiam",
    "lenskit show --recipe quickstart -o pairs.png",
)


def lines(runs: Path) -> list[str]:
    """Return the lines of the result.

    Args:
        runs: Folder of the runs `lensiam` and `simsiam`.

    Raises:
        SystemExit: There are no results of `lenskit probe`.
    """
    file = runs / RESULTS / "results.json"
    if not file.is_file():
        raise SystemExit(f"there is no {file}: run make demo, or lenskit probe {runs}/lensiam {runs}/simsiam")
    rows = json.loads(file.read_text())["rows"]
    chosen = [row for row in rows if row["probe"] in ("ridge", "-") and not row["judged"]]
    scores = {row["label"]: row["scores"][PARAMETER] for row in chosen}
    judged = max(score["n"] for score in scores.values())
    return [
        f"R2 of {PARAMETER}, the Einstein radius, from frozen features of {judged} lenses:",
        "",
        *(f"  {text:32} {_interval(scores[name]['r2'])}" for name, text in NAMES.items() if name in scores),
        "",
        f"page          {runs / 'report.html'}",
        f"rings         {runs / 'rings.png'}, from the encoder that lenskit includes",
        f"tables        {runs / RESULTS / 'table.md'}, {runs / 'tables.txt'}",
        *(
            f"{'try next' if number == 0 else '':13} {command.format(runs)}"
            for number, command in enumerate(NEXT)
        ),
    ]  # fmt: skip


def _interval(estimate: dict[str, Any]) -> str:
    if None in (estimate["value"], estimate["low"], estimate["high"]):
        return "-" if estimate["value"] is None else f"{estimate['value']:.3f}"
    return f"{estimate['value']:.3f}  (95 %: {estimate['low']:.3f} to {estimate['high']:.3f})"


if __name__ == "__main__":
    print("\n".join(lines(Path(sys.argv[1] if len(sys.argv) > 1 else "runs"))))
