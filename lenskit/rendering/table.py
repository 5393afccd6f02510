"""Tables of parameters, from a CSV or JSON file or from Python: one row is one lens."""

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
"""The column that says what each image is called."""

LONGEST_NAME = 240
"""Bytes of a name, for files' names have at most 255, an ending and a channel's number included."""

Cell = str | float | None
"""What a table says: a number, a text that is one or names a class, or nothing."""


@dataclass(frozen=True)
class Table:
    """Columns of as many rows.

    Attributes:
        source: What it is called in messages.
        columns: Cells by name, those of `NAME` included.
        places: Where each row stands, such as `line 3`.
    """

    source: str
    columns: dict[str, list[Cell]]
    places: Sequence[str]

    def __len__(self) -> int:
        return len(self.places)

    @property
    def parameters(self) -> dict[str, list[Cell]]:
        """All columns but the names."""
        return {name: cells for name, cells in self.columns.items() if name != NAME}

    def fault(self, row: int, column: str, what: str) -> UsageError:
        """An error that says where it is."""
        return UsageError(f"{self.source}, {self.places[row]}, column {column}: {what}")

    def without(self, names: Iterable[str]) -> Table:
        """The table without some columns.

        Raises:
            UsageError: if there is none of that name.
        """
        from lenskit.errors import near

        for name in (names := list(names)):
            if name not in self.columns:
                raise UsageError(f"{self.source} has no column {name!r} to ignore{near(name, self.columns)}")
        return Table(self.source, {n: cells for n, cells in self.columns.items() if n not in names}, self.places)

    def names(self) -> list[str]:
        """What each image is called: as the column `NAME` says, or else its number from 0, as files sort.

        Raises:
            UsageError: if a name is missing, is there twice, or cannot be that of a file.
        """
        if NAME not in self.columns:
            digits = len(str(len(self) - 1))
            return [f"{row:0{digits}}" for row in range(len(self))]
        names: dict[str, int] = {}
        for row, cell in enumerate(self.columns[NAME]):
            name = "" if cell is None else str(cell)
            if not name or name in (".", "..") or any(mark in name for mark in "/\\\0\n\r"):
                raise self.fault(row, NAME, f"{name!r} is no name for an image")
            if len(name.encode(errors="surrogatepass")) > LONGEST_NAME:
                raise self.fault(row, NAME, f"{name[:20]!r}... has more than {LONGEST_NAME} bytes, too many for a file")
            if name in names:
                raise self.fault(row, NAME, f"{name!r} is the name of {self.places[names[name]]}, too")
            names[name] = row
        return list(names)


def number(table: Table, row: int, column: str) -> float:
    """A cell as a number: NaN if it is empty.

    Raises:
        UsageError: if it is something else, or not finite.
    """
    cell = table.columns[column][row]
    if cell is None:
        return math.nan
    try:
        value = parse_number(cell) if isinstance(cell, str) else float(cell)
    except (ValueError, OverflowError):
        raise table.fault(row, column, f"{str(cell)[:40]!r} is no number") from None
    whole = int(cell) if isinstance(cell, int) or WHOLE.fullmatch(str(cell)) else 0
    if first_inexact([whole], np.float64) is not None:
        raise table.fault(row, column, f"{whole} has too many digits: float64 holds whole numbers below 2^53")
    if not math.isfinite(value):
        raise table.fault(row, column, f"{cell!r} is not finite; an empty cell stands for what is to be drawn")
    return value


def with_units(table: Table, parameters: Mapping[str, Parameter]) -> Table:
    """The table with the columns that say a unit of angles, such as `theta_E_mas`, in the unit of their parameter.

    Args:
        table: The table.
        parameters: What a simulator knows, by name.

    Raises:
        UsageError: if a unit is no angle, two columns are of one parameter, or a cell is no number.
    """
    for column in table.parameters:
        name, unit = split_unit(column)
        if column in parameters or name not in parameters or parameters[name].unit not in ARCSEC:
            continue
        if name in table.columns:
            raise UsageError(f"{table.source}: the columns {name} and {column} are of one parameter, {name}")
        if unit not in ARCSEC:
            raise UsageError(
                f"{table.source}: the column {column} is in {unit}, {name} in {parameters[name].unit}: convert it"
            )
        factor, cells = ARCSEC[unit] / ARCSEC[parameters[name].unit], table.columns[column]
        if factor != 1:
            cells = [cell if cell is None else number(table, row, column) * factor for row, cell in enumerate(cells)]
        others = {key: values for key, values in table.columns.items() if key != column}
        table = Table(table.source, {**others, name: cells}, table.places)
    return table


def read_table(table: str | PathLike[str] | Any) -> Table:
    """Reads a table.

    Args:
        table: The path of a CSV file with a header (lines that begin with `#` are left out), or of a JSON file with a
            list of objects or an object of lists; or such a list or mapping itself, or a DataFrame.

    Raises:
        UsageError: with one line that says where it is wrong.
    """
    if not isinstance(table, str | PathLike):
        return _checked(_of_python(table, "the table"))
    path = Path(table)
    readers: dict[str, Callable[[Path], Table]] = {".csv": _read_csv, ".json": _read_json}
    if path.suffix.lower() not in readers:
        raise UsageError(f"tables end with {' or '.join(readers)}, not as {path.name or path} does")
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
            raise UsageError(f"{table.source}: the name of column {column!r} is no valid Unicode")
        if (row := next((row for row, cell in enumerate(cells) if not _is_unicode(cell)), None)) is not None:
            raise table.fault(row, column, f"{cells[row]!r} is no valid Unicode")
    return table


def _is_unicode(cell: Cell) -> bool:
    """Whether it is no text with half of a character, as JSON can say it: no file takes that."""
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
                raise UsageError(f"{path}: {key!r} is there twice in one object")
            fields[key] = value
        return fields

    try:
        read = json.loads(path.read_text(encoding="utf-8-sig"), object_pairs_hook=distinct)
    except json.JSONDecodeError as error:
        raise UsageError(f"{path}, line {error.lineno}, column {error.colno}: no JSON: {error.msg}") from None
    except (UsageError, UnicodeDecodeError):
        raise
    except (ValueError, RecursionError):
        raise UsageError(f"{path} is no table: it has a number of thousands of digits, or lists in lists") from None
    return _of_python(read, str(path))


def _of_python(read: Any, source: str) -> Table:
    """A table from a list of mappings, one a row, or from a mapping of columns (a DataFrame is as good as one)."""
    if hasattr(read, "columns") and hasattr(read, "to_dict"):
        if twice := next((name for name, count in Counter(read.columns).items() if count > 1), None):
            raise UsageError(f"{source}: two columns are called {twice!r}")
        read = read.astype(object).where(read.notna(), None).to_dict("list")  # what is missing there is an empty cell
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
        raise UsageError(f"{source} is no table: a list of objects, one for each lens, or an object of lists is right")
    table = Table(source, columns, [f"row {row} (from 0)" for row in range(rows)])
    for name, cells in columns.items():
        if not isinstance(name, str) or not name:
            raise UsageError(f"{source}: {name!r} is no name of a column")
        for row, cell in enumerate(cells):
            cells[row] = cell = cell.item() if hasattr(cell, "item") else cell
            if isinstance(cell, bool) or not isinstance(cell, str | int | float | None):
                raise table.fault(row, name, f"{cell!r} is neither a number nor a text")
            if isinstance(cell, str):
                cells[row] = cell.strip() or None
    return table


def _column(source: str, name: Any, values: Any) -> list[Any]:
    """A column of a mapping as a list; numpy's numbers become Python's."""
    values = values.tolist() if hasattr(values, "tolist") else values
    if not isinstance(values, list | tuple):
        raise UsageError(f"{source}: column {name} is {values!r}, not a list with an entry for each lens")
    return list(values)
