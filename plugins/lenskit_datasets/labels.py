"""Tables of labels: what is known of each lens, from a CSV file."""

from __future__ import annotations

import csv
import logging
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lenskit.plugin import Parameter, UsageError
from lenskit_datasets.folders import FITS, stem

log = logging.getLogger("lenskit")

UNITS = ("arcsec", "deg", "rad")
"""Units that are recognised as a part of a column's name, such as `pa_deg_east_of_north`."""


NOT_KNOWN = {"", "nan", "-nan", "none", "null", "na", "n/a"}
"""Entries that stand for no number, in small letters."""


def read_labels(
    path: Path, names: Sequence[str], columns: Mapping[str, str], endings: Sequence[str] = FITS
) -> tuple[list[Parameter], NDArray[np.float32]]:
    """Reads the labels of lenses from a CSV file with a header.

    The first column names the lens, with or without the ending of its file; each other column whose entries are all
    numbers (or not known: empty, NaN, N/A, none or null) is a parameter of that name. Columns that hold other text are
    left out, with one warning. Lines that begin with `#` are left out.

    Args:
        path: The file.
        names: n names of lenses.
        columns: Column of each parameter that is not in the column of its own name. Unless it is named here, `theta_E`
            is taken from the column `theta_E`, or else from the only one whose name begins with `theta_E_`, in arcsec.
        endings: How the names of files end, in small letters.

    Returns:
        The parameters, and their values (n, parameters): NaN where the table has none.

    Raises:
        UsageError: if the table cannot be read, names a lens twice, or none of these.
    """
    header, rows = read_table(path)
    values = _numbers(path, header, rows)
    chosen = _parameters(path, list(values), columns)
    row_of = {stem(row[0], endings): number for number, row in enumerate(rows)}
    if len(row_of) < len(rows):
        raise UsageError(f"{path}: some lens has two rows; the first column must name each lens once")
    found = [name for name in names if name in row_of]
    if not found:
        example = f" (such as {rows[0][0]!r})" if rows else ""
        raise UsageError(f"{path}: the first column{example} names none of the images (such as {names[0]!r})")
    if len(found) < len(names):
        log.info("%s has no row for %d of %d images", path, len(names) - len(found), len(names))
    table = np.full((len(names), len(chosen)), np.nan, np.float32)
    for i, name in enumerate(names):
        if name in row_of:
            table[i] = [values[column][row_of[name]] for column in chosen.values()]
    return [_parameter(name, column) for name, column in chosen.items()], table


def read_table(path: Path) -> tuple[list[str], list[list[str]]]:
    """The header and the rows of a CSV file, without the lines that begin with `#`; all entries stripped.

    Raises:
        UsageError: if it is no table, or a row is not as long as the header.
    """
    with path.open(newline="", encoding="utf-8-sig") as file:
        try:
            lines = [row for row in csv.reader(line for line in file if not line.startswith("#")) if row]
        except (csv.Error, UnicodeDecodeError) as error:
            raise UsageError(f"{path} cannot be read as a table of comma-separated values: {error}") from error
    if not lines:
        raise UsageError(f"{path} is empty; a table of labels has a header and a row for each lens")
    header, *rows = [[entry.strip() for entry in line] for line in lines]
    if len(set(header)) < len(header):
        raise UsageError(f"{path}: two columns have the same name in the header {','.join(header)!r}")
    for row in rows:
        if len(row) != len(header):
            raise UsageError(f"{path}: the row of {row[0]!r} has {len(row)} entries, the header {len(header)}")
    return header, rows


def number(entry: str) -> float:
    """An entry's number, NaN if it is not known.

    Raises:
        ValueError: if it is other text.
    """
    return math.nan if entry.lower() in NOT_KNOWN else float(entry)


def _numbers(path: Path, header: Sequence[str], rows: Sequence[Sequence[str]]) -> dict[str, list[float]]:
    """The columns behind the first whose entries are all numbers; of the others, one line tells."""
    columns, other = {}, []
    for place, name in enumerate(header[1:], start=1):
        try:
            columns[name] = [number(row[place]) for row in rows]
        except ValueError as error:
            other.append(f"{name} ({str(error).partition(': ')[2][:40]})")
    if other:
        log.warning("%s: columns are left out, since they hold other than numbers: %s", path, ", ".join(other))
    return columns


def _parameters(path: Path, numeric: Sequence[str], columns: Mapping[str, str]) -> dict[str, str]:
    """The column of each parameter."""
    for parameter, column in columns.items():
        if column not in numeric:
            raise UsageError(f"{path} has no column of numbers {column!r} for {parameter}; it has {', '.join(numeric)}")
    chosen = {column: column for column in numeric if column not in columns.values()} | dict(columns)
    if "theta_E" not in chosen:
        similar = [column for column in chosen if column.startswith("theta_E_")]
        if len(similar) > 1:
            raise UsageError(f"{path}: which of {', '.join(similar)} is theta_E? Name it: columns.theta_E={similar[0]}")
        chosen = {"theta_E" if column in similar else parameter: column for parameter, column in chosen.items()}
    return chosen


def _parameter(name: str, column: str) -> Parameter:
    if name == "theta_E":
        return Parameter(name, "arcsec", r"$\theta_E$", headline=True)
    return Parameter(name, next((unit for unit in UNITS if unit in column.split("_")), ""))
