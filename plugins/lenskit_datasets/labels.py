"""Tables of labels: what is known of each lens, from a CSV file."""

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
"""Name of the table that is read unless another is named."""


def find_table(folder: Path, name: str | None, option: str = "labels") -> Path | None:
    """Return the path of a table of labels, if there is one.

    Args:
        folder: The folder of the images.
        name: Path of the table, from here or from the folder; by default `labels.csv` in the folder, which may be
            missing.
        option: The option that names the table, for messages.

    Raises:
        UsageError: if a table that is named is missing, or if the path is a folder, a pipe or a broken link.
    """
    candidates = [Path(name), folder / name] if name else [folder / LABELS]
    if table := next((path for path in candidates if path.is_file()), None):
        return table
    for path in candidates:
        check_file(path, option)
    if name:
        raise UsageError(f"there is no table of labels {name}, neither here nor in {folder}")
    return None


def check_file(path: Path, option: str) -> None:
    """Check that the path of a table, if anything is there, is a file.

    Raises:
        UsageError: if it is a folder, a pipe, a device or a broken link.
    """
    if os.path.lexists(path) and not path.is_file():
        kind = "a folder" if path.is_dir() else "a pipe or a device" if path.exists() else "a link that leads nowhere"
        raise UsageError(f"{path} is {kind}, not a table: move it away, or name a table: {option}=FILE")


def read_labels(
    path: Path, names: Sequence[str], columns: Mapping[str, str], endings: Sequence[str] = FITS
) -> tuple[list[Parameter], NDArray[np.float32]]:
    """Reads the labels of lenses from a CSV file with a header.

    The first column names the lens, with or without the ending of its file; each other column whose entries are all
    numbers (or not known: empty, NaN, N/A, none, null or --) is a parameter of that name. Columns that hold other text,
    or whole numbers too long for float32, are left out, with one warning. Lines that begin with `#` are left out.

    Args:
        path: The file.
        names: n names of lenses.
        columns: Column of each parameter that is not in the column of its own name. Unless it is named here, `theta_E`
            is taken from the column `theta_E`, or else from the only one whose name begins with `theta_E_`. It is
            converted to arcsec if the column's name says another unit of angles.
        endings: How the names of files end, in small letters.

    Returns:
        The parameters, and their values (n, parameters): NaN where the table has none.

    Raises:
        UsageError: if the table cannot be read, names a lens twice, or none of these.
    """
    table = read_delimited(path)
    if len(table.header) == 1:
        raise UsageError(
            f"{path} has one column only, {table.header[0][:40]!r}: a table of labels has comma-separated columns, the "
            "name of the lens and what is known of it"
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
    """The column of each parameter, in which `theta_E` is found if it is called otherwise.

    Args:
        path: The file, for messages.
        chosen: The columns so far.

    Raises:
        UsageError: if several columns may be `theta_E`.
    """
    similar = [] if "theta_E" in chosen else theta_E_columns(chosen)
    if len(similar) > 1:
        raise UsageError(f"{path}: which of {', '.join(similar)} is theta_E? Name it: columns.theta_E={similar[0]}")
    return {"theta_E" if parameter in similar else parameter: column for parameter, column in chosen.items()}


def labelled(name: str, column: str, unit: str = "") -> tuple[Parameter, float]:
    """A parameter, and the factor that brings its values to its unit: `theta_E` to arcsec, all others as they are.

    Args:
        name: Name of the parameter.
        column: Name of the column, which may say its unit.
        unit: The unit, if anything but the name says it.

    Raises:
        UsageError: if it is `theta_E`, and by the column's name no angle.
    """
    if name != "theta_E":
        return Parameter(name, unit or unit_in(column)), 1.0
    angle = not unit or is_angle(unit)
    factor = to_arcsec(column, unit) if angle else 1.0
    return Parameter(name, "arcsec" if angle else unit, r"$\theta_E$", headline=True), factor


def as_float32(values: NDArray[np.floating], what: str) -> NDArray[np.float32]:
    """Values as float32: NaN, and one warning, where they are infinite, or too large or too small for it.

    Args:
        values: The values, of any shape.
        what: What they are called in messages.
    """
    with np.errstate(over="ignore", under="ignore"):
        narrow = values.astype(np.float32)
    if (lost := np.isinf(narrow) | ((narrow == 0) & (values != 0))).any():
        log.warning("%s: %d values are beyond the range of float32, and taken as not known", what, lost.sum())
        narrow[lost] = np.nan
    return narrow


def _numbers(path: Path, header: Sequence[str], rows: Iterable[Sequence[str]]) -> dict[str, NDArray[np.float64]]:
    """The columns behind the first whose entries are all numbers; of the others, one line tells."""
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
        log.warning("%s: columns are left out, since they hold other than numbers: %s", path, listed(other))
    if long:
        log.warning(
            "%s: columns are left out, since float32 does not hold their whole numbers: %s; numbers with a decimal "
            "point are rounded and kept", path, listed(long),
        )  # fmt: skip
    return columns


def _parameters(path: Path, numeric: Sequence[str], columns: Mapping[str, str]) -> dict[str, str]:
    """The column of each parameter."""
    for parameter, column in columns.items():
        if column not in numeric:
            raise UsageError(f"{path} has no column of numbers {column!r} for {parameter}; it has {listed(numeric)}")
    return {column: column for column in numeric if column not in columns.values()} | dict(columns)
