"""Anybody's scores: a table of comma-separated values, of which every line is checked."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from lenskit.plugin import UsageError, near
from lenskit.toolbox import first_inexact, parse_number, read_delimited, whole_numbers
from lenskit_evaluation.anomaly.scored import Scored, Truth

SCORE = "score"
"""The column of scores; or what those of several detectors begin with: `score_NAME`."""

LABEL, CLASS = "label", "class"
NAMES = ("name", "image")

MEANING = {"0": 0, "1": 1, "false": 0, "true": 1, "0.0": 0, "1.0": 1}
"""What labels may be: normal, or an anomaly."""

SIDES = ("normal", "anomaly")

Cells = Sequence[tuple[int, str]]
"""Cells of a column with the lines that they are on."""


def read_scores(path: Path, label: str | None = None, normal: str | None = None) -> tuple[Truth, dict[str, Scored]]:
    """Reads the scores of one or more detectors, and what the images are.

    The table has a header. It has a column `score`, or `score_NAME` for each detector; and `label` (0 for a normal
    image and 1 for an anomaly, or false and true), or `class` with names of classes, one of which is normal. A column
    `name` or `image` names the images. Others do not matter, nor do empty lines, lines above the header that begin with
    `#` (below it, names of images may), and spaces around cells. Semicolons or tabs may stand in place of commas.

    Args:
        path: The file.
        label: The column that says what images are; by default `class` if a normal class is named, and `label` if not.
        normal: The class that is no anomaly.

    Raises:
        UsageError: saying in a line what is wrong, and on which line of the file.
    """
    columns = _columns(path)
    scores = {name: cells for name, cells in columns.items() if name == SCORE or name.startswith(f"{SCORE}_")}
    if not scores:
        _missing(path, SCORE, columns)
    kept = label or (CLASS if normal is not None or LABEL not in columns else LABEL)
    if kept not in columns:
        _missing(path, kept if label or normal is not None else LABEL, columns)
    names = next((tuple(text for _, text in columns[name]) for name in NAMES if name in columns), ())
    if normal is not None:
        classes, numbers = _classes(path, kept, columns[kept], normal)
    else:
        classes, numbers, normal = SIDES, _labels(path, kept, columns[kept]), SIDES[0]
    called = {name: name.removeprefix(f"{SCORE}_") for name in scores}
    if "" in called.values():
        raise UsageError(f"{path}: the column {SCORE}_ names no detector: it is {SCORE}, or {SCORE}_NAME")
    if SCORE in scores and f"{SCORE}_{SCORE}" in scores:
        raise UsageError(f"{path}: the columns {SCORE} and {SCORE}_{SCORE} are of one detector, {SCORE}")
    detectors = {called[name]: _scores(path, name, cells) for name, cells in scores.items()}
    truth = Truth(classes, np.array(numbers, np.int64), normal, names)
    return truth, {name: Scored(values, "score") for name, values in detectors.items()}


def _columns(path: Path) -> dict[str, Cells]:
    """The columns by their names."""
    if not path.is_file():
        raise UsageError(f"{path} is a folder, not a table of scores" if path.is_dir() else f"there is no file {path}")
    table = read_delimited(path, comments_below=False)
    if not table.rows:
        raise UsageError(f"{path} has a header and no rows")
    columns = zip(*table.rows, strict=True)
    return {name: list(zip(table.lines, cells, strict=True)) for name, cells in zip(table.header, columns, strict=True)}


def _scores(path: Path, column: str, cells: Cells) -> NDArray[np.float64]:
    """Scores as numbers.

    Raises:
        UsageError: if one is text or missing, or a whole number that float64 does not hold.
    """
    values = np.empty(len(cells))
    for row, (line, text) in enumerate(cells):
        try:
            values[row] = parse_number(text or "nan")
        except ValueError:
            raise UsageError(f"{path}, line {line}: the {column} {text!r} is no number") from None
    if (long := first_inexact(whole_numbers([text for _, text in cells]) or (), np.float64)) is not None:
        raise UsageError(f"{path}: the {column} {long} has too many digits: float64 holds whole numbers below 2^53")
    missing = np.flatnonzero(np.isnan(values))
    if len(missing):
        first = cells[missing[0]][0]
        raise UsageError(
            f"{path}: {len(missing)} of {len(values)} values of {column} are NaN or missing, the first on line {first}"
        )
    return values


def _labels(path: Path, column: str, cells: Cells) -> list[int]:
    """0 for a normal image, 1 for an anomaly."""
    for line, text in cells:
        if text.lower() in MEANING:
            continue
        if column != LABEL:
            there = _some(dict.fromkeys(text for _, text in cells))
            raise UsageError(f"--normal says which class is no anomaly: in the column {column} of {path} are {there}")
        raise UsageError(
            f"{path}, line {line}: the label {text!r} is neither 0 (normal) nor 1 (anomaly); classes are judged "
            f"by name with --label {LABEL} --normal NAME"
        )
    return [MEANING[text.lower()] for _, text in cells]


def _classes(path: Path, column: str, cells: Cells, normal: str) -> tuple[tuple[str, ...], list[int]]:
    """The names of classes, the normal one first, and the number of each image's."""
    for line, text in cells:
        if not text:
            raise UsageError(f"{path}, line {line}: there is no {column}")
    there = dict.fromkeys(text for _, text in cells)
    if normal not in there:
        hint = near(normal, list(there))
        raise UsageError(f"no image of {path} is of class {normal!r}{hint}; in the column {column} are {_some(there)}")
    classes = (normal, *(name for name in there if name != normal))
    numbers = {name: number for number, name in enumerate(classes)}
    return classes, [numbers[text] for _, text in cells]


def _missing(path: Path, wanted: str, columns: Iterable[str]) -> NoReturn:
    there = list(columns)
    others = f" (or {CLASS}, with --normal NAME)" if wanted == LABEL else ""
    raise UsageError(f"{path} has no column {wanted}{others}{near(wanted, there)}; it has {_some(there)}")


def _some(names: Iterable[str], most: int = 12) -> str:
    """The names, or the first of very many."""
    listed = list(names)
    return ", ".join(listed[:most]) + (f" and {len(listed) - most} more" if len(listed) > most else "")
