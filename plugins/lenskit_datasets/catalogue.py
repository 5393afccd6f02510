"""Catalogues of the Lens Finding Challenges: CSV files with a row per image."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lenskit.plugin import UsageError
from lenskit.toolbox import first_inexact, read_delimited, read_numbers, whole_numbers

log = logging.getLogger("lenskit")

Array = NDArray[np.float64]


def read_catalogue(path: Path) -> dict[str, Array]:
    """Return the numeric columns of a CSV file with a header.

    Lines that begin with `#` may precede the header.

    Args:
        path: Path of the file. Empty entries and NaNs are unknown values.

    Raises:
        UsageError: The file is not a table, or has no column `ID` of different whole numbers below 2^53.
    """
    read = read_delimited(path)
    table: dict[str, Array] = {}
    for place, name in enumerate(read.header):
        cells = [row[place] for row in read.rows]
        try:
            values = read_numbers(cells)
        except ValueError:
            log.info("%s: column %r is left out: some entries are not numbers", path, name)
            continue
        finite = [cell for cell, value in zip(cells, values, strict=True) if np.isfinite(value)]
        if (long := first_inexact(whole_numbers(finite) or (), np.float64)) is None:
            table[name] = values
        elif name == "ID":
            raise UsageError(f"{path}: the ID {long} has too many digits: IDs must be below 2^53 (float64)")
        else:
            log.warning("%s: column %r is left out: float64 cannot hold its whole number %d", path, name, long)
    if "ID" not in table or not np.equal(np.mod(table["ID"], 1), 0).all():
        raise UsageError(f"{path} has no column ID that numbers the images; it has {', '.join(read.header)}")
    if len(np.unique(table["ID"])) < len(table["ID"]):
        raise UsageError(f"{path}: some ID has two rows")
    return table


def column(table: Mapping[str, Array], name: str) -> Array:
    """Return a required column.

    Raises:
        UsageError: The column is missing.
    """
    if name not in table:
        raise UsageError(f"the catalogue has no column of numbers {name!r}; it has {', '.join(table)}")
    return table[name]


def all_of(*conditions: tuple[Array, float]) -> Array:
    """Return 1 if all values are above their limits, 0 if one is not, NaN if unknown."""
    known_not = np.any([np.isfinite(values) & ~(values > limit) for values, limit in conditions], axis=0)
    unknown = np.any([np.isnan(values) for values, _ in conditions], axis=0)
    return np.where(known_not, 0.0, np.where(unknown, np.nan, 1.0))
