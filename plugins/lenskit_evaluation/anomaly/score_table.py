"""Reading of a table of scores from any program, with a check of every line."""

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
"""Name of the column of scores, and prefix of the columns of several detectors, `score_NAME`."""

LABEL, CLASS = "label", "class"
NAMES = ("name", "image")

MEANING = {"0": 0, "1": 1, "false": 0, "true": 1, "0.0": 0, "1.0": 1}
"""Valid texts of labels: 0 for normal, 1 for an anomaly."""

SIDES = ("normal", "anomaly")

Cells = Sequence[tuple[int, str]]
"""Cells of a column with their line numbers."""


def read_scores(path: Path, label: str | None = None, normal: str | None = None) -> tuple[Truth, dict[str, Scored]]:
    """Read the scores of one or more detectors, and the true classes of the images.

    The table has a header and these columns:

    - `score`, or `score_NAME` for each detector.
    - `label` (0 or false for a normal image, 1 or true for an anomaly), or `class` with names of classes.
    - `name` or `image`, with the names of the images; optional.

    Different columns, empty lines, spaces around cells, and lines above the header that begin with `#` are ignored.
    (Below the header, a name of an image may begin with `#`.) The separator is a comma, a semicolon or a tab.

    Args:
        path: The file.
        label: Column of the true classes. The default is `class` if `normal` is set or if there is no column `label`,
            otherwise `label`.
        normal: Name of the normal class.

    Raises:
        UsageError: The table is invalid; the message gives the fault and the line.
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
        raise UsageError(f"{path}: the column {SCORE}_ names no detector: rename it to {SCORE} or {SCORE}_NAME")
    if SCORE in scores and f"{SCORE}_{SCORE}" in scores:
        raise UsageError(
            f"{path}: the columns {SCORE} and {SCORE}_{SCORE} have the same detector name {SCORE}: rename one of them"
        )
    detectors = {called[name]: _scores(path, name, cells) for name, cells in scores.items()}
    truth = Truth(classes, np.array(numbers, np.int64), normal, names)
    return truth, {name: Scored(values, "score") for name, values in detectors.items()}


def _columns(path: Path) -> dict[str, Cells]:
    """Read the columns of the table by name."""
    if not path.is_file():
        raise UsageError(f"{path} is a folder, not a table of scores" if path.is_dir() else f"there is no file {path}")
    table = read_delimited(path, comments_below=False)
    if not table.rows:
        raise UsageError(f"{path} has a header and no rows")
    columns = zip(*table.rows, strict=True)
    return {name: list(zip(table.lines, cells, strict=True)) for name, cells in zip(table.header, columns, strict=True)}


def _scores(path: Path, column: str, cells: Cells) -> NDArray[np.float64]:
    """Return the scores of a column as numbers.

    Raises:
        UsageError: A score is text, missing or NaN, or a whole number that float64 cannot represent exactly.
    """
    values = np.empty(len(cells))
    for row, (line, text) in enumerate(cells):
        try:
            values[row] = parse_number(text or "nan")
        except ValueError:
            raise UsageError(f"{path}, line {line}: the {column} {text!r} is not a number") from None
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
    """Return 0 for each normal image and 1 for each anomaly."""
    for line, text in cells:
        if text.lower() in MEANING:
            continue
        if column != LABEL:
            there = _some(dict.fromkeys(text for _, text in cells))
            raise UsageError(
                f"{path}: the column {column} has the classes {there}: pass the normal class with --normal NAME"
            )
        raise UsageError(
            f"{path}, line {line}: the label {text!r} is neither 0 (normal) nor 1 (anomaly); for named classes pass "
            f"--label {LABEL} --normal NAME"
        )
    return [MEANING[text.lower()] for _, text in cells]


def _classes(path: Path, column: str, cells: Cells, normal: str) -> tuple[tuple[str, ...], list[int]]:
    """Return the class names, normal class first, and each image's class number."""
    for line, text in cells:
        if not text:
            raise UsageError(f"{path}, line {line}: the {column} is missing")
    there = dict.fromkeys(text for _, text in cells)
    if normal not in there:
        hint = near(normal, list(there))
        raise UsageError(f"no image of {path} is of class {normal!r}{hint}; the column {column} has {_some(there)}")
    classes = (normal, *(name for name in there if name != normal))
    numbers = {name: number for number, name in enumerate(classes)}
    return classes, [numbers[text] for _, text in cells]


def _missing(path: Path, wanted: str, columns: Iterable[str]) -> NoReturn:
    there = list(columns)
    others = f" (or {CLASS}, with --normal NAME)" if wanted == LABEL else ""
    raise UsageError(f"{path} has no column {wanted}{others}{near(wanted, there)}; it has {_some(there)}")


def _some(names: Iterable[str], most: int = 12) -> str:
    """Join the names for a message, at most `most` of them."""
    listed = list(names)
    return ", ".join(listed[:most]) + (f" and {len(listed) - most} more" if len(listed) > most else "")
