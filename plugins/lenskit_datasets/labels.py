"""Tables of labels: parameters of lenses from a CSV file."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lenskit.plugin import Parameter, UsageError
from lenskit.toolbox import (
    first_inexact,
    is_angle,
    listed,
    read_delimited,
    read_numbers,
    theta_E_columns,
    to_arcsec,
    unit_in,
    whole_numbers,
)
from lenskit_datasets.folders import FITS, stem

log = logging.getLogger("lenskit")

LABELS = "labels.csv"
"""Default name of the table."""


def find_table(folder: Path, name: str | None, option: str = "labels") -> Path | None:
    """Return the path of a table of labels, if there is one.

    Args:
        folder: Folder of the images.
        name: Path of the table, from the working directory or from the folder. By default `labels.csv` in the folder,
            which may be missing.
        option: Name of the option for the table, for messages.

    Raises:
        UsageError: A named table is missing, or the path is a folder, a pipe or a broken link.
    """
    candidates = [Path(name), folder / name] if name else [folder / LABELS]
    if table := next((path for path in candidates if path.is_file()), None):
        return table
    for path in candidates:
        check_file(path, option)
    if name:
        raise UsageError(f"there is no table of labels {name}, neither in the working directory nor in {folder}")
    return None


def check_file(path: Path, option: str) -> None:
    """Check that the path of a table is a file, if it exists.

    Raises:
        UsageError: The path is a folder, a pipe, a device or a broken link.
    """
    if os.path.lexists(path) and not path.is_file():
        kind = "a folder" if path.is_dir() else "a pipe or a device" if path.exists() else "a broken link"
        raise UsageError(f"{path} is {kind}, not a table: move it away, or name a table: {option}=FILE")


def read_labels(
    path: Path, names: Sequence[str], columns: Mapping[str, str], endings: Sequence[str] = FITS
) -> tuple[list[Parameter], NDArray[np.float32]]:
    """Read the labels of lenses from a CSV file with a header.

    The first column is the name of the lens, with or without the ending of its file. Each other column is a parameter
    with the column's name, if all entries are numbers or unknown (empty, NaN, N/A, none, null or --). Columns of other
    text, or of whole numbers too large for float32, are left out with one warning. Lines that begin with `#` are
    ignored.

    Args:
        path: Path of the file.
        names: Names of n lenses.
        columns: Columns of parameters that have different names in the table. Without an entry here, `theta_E` is the
            column `theta_E`, or else the only column whose name begins with `theta_E_`. It is converted to arcsec if
            the column's name contains a different unit of angles.
        endings: Endings of the image files, in lower case.

    Returns:
        The parameters, and their values (n, parameters): NaN if the table has none.

    Raises:
        UsageError: The table cannot be read, names a lens twice, or names none of these lenses.
    """
    table = read_delimited(path)
    if len(table.header) == 1:
        raise UsageError(
            f"{path} has one column only, {table.header[0][:40]!r}: a table of labels has comma-separated columns, the "
            "name of the lens and its parameters"
        )
    rows = table.rows
    row_of = {stem(row[0], endings): number for number, row in enumerate(rows)}
    if len(row_of) < len(rows):
        raise UsageError(f"{path}: some lens has two rows; the first column must name each lens once")
    matched = [name for name in names if name in row_of]
    if not matched:
        example = f" (such as {rows[0][0][:40]!r})" if rows else ""
        hint = "" if table.header[0] else "; it has no name: if it is an index of pandas, write it with index=False"
        raise UsageError(f"{path}: the first column{example} names none of the images (such as {names[0]!r}){hint}")
    if len(matched) < len(names):
        log.info("%s has no row for %d of %d images", path, len(names) - len(matched), len(names))
    values = _numbers(path, table.header, rows)
    chosen = with_theta_E(path, _parameters(path, list(values), columns))
    parameters = [labelled(name, column) for name, column in chosen.items()]
    of_row = np.array([row_of.get(name, len(rows)) for name in names])
    labels = [
        as_float32(np.append(values[column], np.nan)[of_row] * factor, f"{path}: {column}")
        for (_, factor), column in zip(parameters, chosen.values(), strict=True)
    ]
    return [p for p, _ in parameters], np.stack(labels, 1) if labels else np.zeros((len(names), 0), "f4")


def with_theta_E(path: Path, chosen: Mapping[str, str]) -> dict[str, str]:
    """Return the column of each parameter, with `theta_E` found under similar names.

    Args:
        path: Path of the file, for messages.
        chosen: Column of each parameter.

    Raises:
        UsageError: Several columns may be `theta_E`.
    """
    similar = [] if "theta_E" in chosen else theta_E_columns(chosen)
    if len(similar) > 1:
        raise UsageError(f"{path}: which of {', '.join(similar)} is theta_E? Name it: columns.theta_E={similar[0]}")
    return {"theta_E" if parameter in similar else parameter: column for parameter, column in chosen.items()}


def labelled(name: str, column: str, unit: str = "") -> tuple[Parameter, float]:
    """Return a parameter and the factor that converts its values to its unit.

    `theta_E` is converted to arcsec; other parameters keep their unit.

    Args:
        name: Name of the parameter.
        column: Name of the column, which may contain its unit.
        unit: Unit, if it is known from a different source.

    Raises:
        UsageError: The parameter is `theta_E`, and the column's name has a unit that is not an angle.
    """
    if name != "theta_E":
        return Parameter(name, unit or unit_in(column)), 1.0
    angle = not unit or is_angle(unit)
    factor = to_arcsec(column, unit) if angle else 1.0
    return Parameter(name, "arcsec" if angle else unit, r"$\theta_E$", headline=True), factor


def as_float32(values: NDArray[np.floating], name: str) -> NDArray[np.float32]:
    """Return values as float32; values outside its range become NaN, with one warning.

    Infinite values, and values too large or too small for float32, become NaN.

    Args:
        values: Values of any shape.
        name: Name of the values in messages.
    """
    with np.errstate(over="ignore", under="ignore"):
        narrow = values.astype(np.float32)
    if (lost := np.isinf(narrow) | ((narrow == 0) & (values != 0))).any():
        log.warning("%s: %d values are outside the range of float32 and are unknown", name, lost.sum())
        narrow[lost] = np.nan
    return narrow


def _numbers(path: Path, header: Sequence[str], rows: Iterable[Sequence[str]]) -> dict[str, NDArray[np.float64]]:
    """Return the numeric columns after the first; warn about the remaining columns."""
    columns: dict[str, NDArray[np.float64]] = {}
    other, long = [], []
    for name, cells in zip(header, zip(*rows, strict=True), strict=False):
        if name == header[0]:
            continue
        try:
            columns[name] = read_numbers(cells)
        except ValueError as error:
            other.append(f"{name} ({str(error).partition(': ')[2][:40]})")
            continue
        whole = whole_numbers([cell for cell, value in zip(cells, columns[name], strict=True) if value == value])
        if (first := first_inexact(whole or (), np.float32)) is not None:
            long.append(f"{name} ({first})")
            del columns[name]
    if other:
        log.warning("%s: columns are left out, because some entries are not numbers: %s", path, listed(other))
    if long:
        log.warning(
            "%s: columns are left out, because float32 cannot hold their whole numbers: %s; numbers with a decimal "
            "point are rounded and kept", path, listed(long),
        )  # fmt: skip
    return columns


def _parameters(path: Path, numeric: Sequence[str], columns: Mapping[str, str]) -> dict[str, str]:
    """Return the column of each parameter."""
    for parameter, column in columns.items():
        if column not in numeric:
            raise UsageError(f"{path} has no column of numbers {column!r} for {parameter}; it has {listed(numeric)}")
    return {column: column for column in numeric if column not in columns.values()} | dict(columns)
