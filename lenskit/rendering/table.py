"""Tables of lens parameters from CSV files, JSON files or Python objects."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from lenskit.errors import UsageError
from lenskit.kinds.parameter import Parameter
from lenskit.reading.delimited import parse_number, read_delimited
from lenskit.reading.units import ARCSEC, split_unit
from lenskit.reading.whole import WHOLE, first_inexact

NAME = "name"
"""Column with the names of the images."""

LONGEST_NAME = 240
"""Largest length of a name in bytes. File names have at most 255, including a channel number and a suffix."""

Cell = str | float | None
"""A cell of a table: a number, a text with a number or the name of a class, or None if it is empty."""


@dataclass(frozen=True)
class Table:
    """A table of lens parameters, in which each row is a lens.

    Attributes:
        source: Name of the table in messages, such as its path.
        columns: Cells of each column, by name, including the column `NAME`.
        places: Place of each row in the source, such as `line 3`.
    """

    source: str
    columns: dict[str, list[Cell]]
    places: Sequence[str]

    def __len__(self) -> int:
        return len(self.places)

    @property
    def parameters(self) -> dict[str, list[Cell]]:
        """All columns except `NAME`."""
        return {name: cells for name, cells in self.columns.items() if name != NAME}

    def fault(self, row: int, column: str, message: str) -> UsageError:
        """Return an error that names the source, row and column.

        Args:
            row: Number of the row.
            column: Name of the column.
            message: Description of the fault.
        """
        return UsageError(f"{self.source}, {self.places[row]}, column {column}: {message}")

    def without(self, names: Iterable[str]) -> Table:
        """Return the table without some columns.

        Raises:
            UsageError: The table has no column of one of these names.
        """
        from lenskit.errors import near

        for name in (names := list(names)):
            if name not in self.columns:
                raise UsageError(f"{self.source} has no column {name!r} to ignore{near(name, self.columns)}")
        return Table(self.source, {n: cells for n, cells in self.columns.items() if n not in names}, self.places)

    def names(self) -> list[str]:
        """Return the name of each image, from the column `NAME`.

        Without that column, the names are numbers from 0, padded with zeros.

        Raises:
            UsageError: A name is missing, occurs twice, or cannot be a file name.
        """
        if NAME not in self.columns:
            digits = len(str(len(self) - 1))
            return [f"{row:0{digits}}" for row in range(len(self))]
        names: dict[str, int] = {}
        for row, cell in enumerate(self.columns[NAME]):
            name = "" if cell is None else str(cell)
            if not name or name in (".", "..") or any(mark in name for mark in "/\\\0\n\r"):
                raise self.fault(row, NAME, f"{name!r} is not a valid name for an image")
            if len(name.encode(errors="surrogatepass")) > LONGEST_NAME:
                raise self.fault(row, NAME, f"{name[:20]!r}... has more than {LONGEST_NAME} bytes, too many for a file")
            if name in names:
                raise self.fault(row, NAME, f"{name!r} is also the name of {self.places[names[name]]}")
            names[name] = row
        return list(names)


def number(table: Table, row: int, column: str) -> float:
    """Return a cell as a number; NaN if it is empty.

    Raises:
        UsageError: The cell is not a number, not finite, or has too many digits for float64.
    """
    cell = table.columns[column][row]
    if cell is None:
        return math.nan
    try:
        value = parse_number(cell) if isinstance(cell, str) else float(cell)
    except (ValueError, OverflowError):
        raise table.fault(row, column, f"{str(cell)[:40]!r} is not a number") from None
    whole = int(cell) if isinstance(cell, int) or WHOLE.fullmatch(str(cell)) else 0
    if first_inexact([whole], np.float64) is not None:
        raise table.fault(row, column, f"{whole} has too many digits: float64 holds whole numbers below 2^53")
    if not math.isfinite(value):
        raise table.fault(row, column, f"{cell!r} is not finite; leave the cell empty to sample a value")
    return value


def with_units(table: Table, parameters: Mapping[str, Parameter]) -> Table:
    """Convert columns with a unit of angles to the unit of their parameter.

    For example, `theta_E_mas` becomes `theta_E` in arcsec.

    Args:
        table: The table.
        parameters: Parameters of the simulator, by name.

    Returns:
        The converted table.

    Raises:
        UsageError: A unit is not an angle, two columns have the same parameter, or a cell is not a number.
    """
    for column in table.parameters:
        name, unit = split_unit(column)
        if column in parameters or name not in parameters or parameters[name].unit not in ARCSEC:
            continue
        if name in table.columns:
            raise UsageError(f"{table.source}: columns {name} and {column} are the same parameter: remove one")
        if unit not in ARCSEC:
            raise UsageError(
                f"{table.source}: column {column} is in {unit}, but {name} is in {parameters[name].unit}: convert it"
            )
        factor, cells = ARCSEC[unit] / ARCSEC[parameters[name].unit], table.columns[column]
        if factor != 1:
            cells = [cell if cell is None else number(table, row, column) * factor for row, cell in enumerate(cells)]
        others = {key: values for key, values in table.columns.items() if key != column}
        table = Table(table.source, {**others, name: cells}, table.places)
    return table


def read_table(table: str | PathLike[str] | Any) -> Table:
    """Read a table of lens parameters.

    Args:
        table: Path of a CSV file with a header (lines that begin with `#` are ignored), or of a JSON file with a list
            of objects or an object of lists; or such a list or mapping itself, or a DataFrame.

    Raises:
        UsageError: The table cannot be read or is invalid. The message names the place.
    """
    if not isinstance(table, str | PathLike):
        return _checked(_of_python(table, "the table"))
    path = Path(table)
    readers: dict[str, Callable[[Path], Table]] = {".csv": _read_csv, ".json": _read_json}
    if path.suffix.lower() not in readers:
        raise UsageError(f"the name of a table must end with {' or '.join(readers)}, but is {path.name or path}")
    try:
        return _checked(readers[path.suffix.lower()](path))
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} cannot be read as text: {error}") from None


def _checked(table: Table) -> Table:
    if not len(table) or not table.columns:
        raise UsageError(f"{table.source} has no rows: each row is one lens")
    for column, cells in table.columns.items():
        if not _is_unicode(column):
            raise UsageError(f"{table.source}: the name of column {column!r} is not valid Unicode")
        if (row := next((row for row, cell in enumerate(cells) if not _is_unicode(cell)), None)) is not None:
            raise table.fault(row, column, f"{cells[row]!r} is not valid Unicode")
    return table


def _is_unicode(cell: Cell) -> bool:
    """Whether a cell can be encoded: JSON allows lone surrogates, UTF-8 does not."""
    return not isinstance(cell, str) or not any("\ud800" <= sign <= "\udfff" for sign in cell)


def _read_csv(path: Path) -> Table:
    read = read_delimited(path)
    if not read.header[0]:
        raise UsageError(f"{path}, line {read.header_line}: column 1 has no name")
    columns: dict[str, list[Cell]] = {
        name: [row[place] or None for row in read.rows] for place, name in enumerate(read.header)
    }
    return Table(str(path), columns, [f"line {line}" for line in read.lines])


def _read_json(path: Path) -> Table:
    def distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        fields: dict[str, Any] = {}
        for key, value in pairs:
            if key in fields:
                raise UsageError(f"{path}: {key!r} occurs twice in one object")
            fields[key] = value
        return fields

    try:
        read = json.loads(path.read_text(encoding="utf-8-sig"), object_pairs_hook=distinct)
    except json.JSONDecodeError as error:
        raise UsageError(f"{path}, line {error.lineno}, column {error.colno}: invalid JSON: {error.msg}") from None
    except (UsageError, UnicodeDecodeError):
        raise
    except (ValueError, RecursionError):
        raise UsageError(
            f"{path} is not a table: a number has thousands of digits, or lists are nested too deeply"
        ) from None
    return _of_python(read, str(path))


def _of_python(read: Any, source: str) -> Table:
    """Return a table from a list of rows, a mapping of columns or a DataFrame."""
    if hasattr(read, "columns") and hasattr(read, "to_dict"):
        if twice := next((name for name, count in Counter(read.columns).items() if count > 1), None):
            raise UsageError(f"{source}: two columns are called {twice!r}")
        read = read.astype(object).where(read.notna(), None).to_dict("list")  # missing values become empty cells
    if isinstance(read, Mapping):
        columns = {name: _column(source, name, values) for name, values in read.items()}
        rows = len(next(iter(columns.values()), []))
        for name, cells in columns.items():
            if len(cells) != rows:
                raise UsageError(f"{source}: column {name} has {len(cells)} rows, and {next(iter(columns))} has {rows}")
    elif isinstance(read, Sequence) and not isinstance(read, str) and all(isinstance(row, Mapping) for row in read):
        names = dict.fromkeys(name for row in read for name in row)
        columns = {name: [row.get(name) for row in read] for name in names}
        rows = len(read)
    else:
        raise UsageError(f"{source} is not a table: use a list of objects, one for each lens, or an object of lists")
    table = Table(source, columns, [f"row {row} (from 0)" for row in range(rows)])
    for name, cells in columns.items():
        if not isinstance(name, str) or not name:
            raise UsageError(f"{source}: {name!r} cannot be the name of a column")
        for row, cell in enumerate(cells):
            cells[row] = cell = cell.item() if hasattr(cell, "item") else cell
            if isinstance(cell, bool) or not isinstance(cell, str | int | float | None):
                raise table.fault(row, name, f"{cell!r} is neither a number nor a text")
            if isinstance(cell, str):
                cells[row] = cell.strip() or None
    return table


def _column(source: str, name: Any, values: Any) -> list[Any]:
    """Return a column of a mapping as a list, with numpy numbers as Python numbers."""
    values = values.tolist() if hasattr(values, "tolist") else values
    if not isinstance(values, list | tuple):
        raise UsageError(f"{source}: column {name} is {values!r}, not a list with an entry for each lens")
    return list(values)
