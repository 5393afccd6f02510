"""What every evaluation writes into a run: figures for programs, a table, and pictures."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from lenskit.plugin import as_markdown, save_figure, write_atomically
from lenskit_evaluation.tables import Rows, as_text, show, to_csv, to_markdown

log = logging.getLogger("lenskit")


def write_outcome(
    folders: Sequence[Path],
    *,
    title: str,
    settings: Mapping[str, Any],
    results: Mapping[str, Any],
    table: Rows,
    long: Rows = (),
    more: Mapping[str, Rows] | None = None,
    summary: Mapping[str, Mapping[str, float]] | None = None,
    pictures: Mapping[str, Figure] | None = None,
) -> None:
    """Writes `results.json`, `table.md`, `table.csv` and a PNG for each picture into each folder, and prints the table.

    `lenskit report` shows what is in these files, whichever evaluation wrote them.

    Args:
        folders: Where to write, made if need be; `run.folder(NAME)` of each run.
        title: What the table shows, in a line.
        settings: What the figures depend on: options, seeds, data.
        results: The figures; NaN becomes null.
        table: Rows for people.
        long: Rows for programs, in `table.csv`; by default those for people.
        more: Further tables for people, by their titles; they stand below the first in `table.md`.
        summary: For each subject by its label, its few figures that count, by name: such as
            `{"theta_E R2": 0.889}`. `lenskit report` puts those of all evaluations into one row a run.
        pictures: Figures by the names of their files, without the ending.
    """
    # Drawn before anything is written: what cannot be drawn leaves nothing half-written.
    drawn = {f"{name}.png": _png(figure) for name, figure in (pictures or {}).items()}
    known = {"title": title, "settings": settings, "summary": summary or {}, "table": as_text(table)}
    plain = plain_values({**known, **results, "pictures": list(drawn)})
    tables = {title: table, **(more or {})}
    for folder in folders:
        folder.mkdir(parents=True, exist_ok=True)
        _remove_pictures(folder)
        write_atomically(folder / "results.json", json.dumps(plain, indent=1) + "\n")
        write_atomically(
            folder / "table.md", "\n".join(f"{as_markdown(t)}.\n\n{to_markdown(rows)}" for t, rows in tables.items())
        )
        write_atomically(folder / "table.csv", to_csv(long or table))
        for name, png in drawn.items():
            write_atomically(folder / name, png)
    for name, rows in tables.items():
        show(rows, name)
    log.info("table: %s", folders[0] / "table.md")
    for name in drawn:
        log.info("picture: %s", folders[0] / name)


def _png(figure: Figure) -> bytes:
    file = BytesIO()
    save_figure(figure, file, format="png", dpi=120)
    return file.getvalue()


def _remove_pictures(folder: Path) -> None:
    """Removes the pictures of the outcome that is replaced: beside another table they would tell of other lenses."""
    try:
        former = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return
    names = former.get("pictures") if isinstance(former, dict) else None
    for name in names if isinstance(names, list) else []:
        (folder / Path(str(name)).name).unlink(missing_ok=True)


def plain_values(value: Any) -> Any:
    """The same as JSON can hold it: lists for arrays, and null for what is not a number."""
    if isinstance(value, Mapping):
        return {str(key): plain_values(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain_values(item) for item in value]
    if isinstance(value, np.ndarray | np.generic):
        return plain_values(value.tolist())
    if isinstance(value, Path):
        return str(value)
    return None if isinstance(value, float) and not math.isfinite(value) else value
