"""Reader of delimited text tables such as CSV, with one rule for numbers."""

from __future__ import annotations

import codecs
import csv
import io
import math
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lenskit.errors import UsageError

NOT_KNOWN = {"", "nan", "-nan", "none", "null", "na", "n/a", "#n/a", "<na>", "--"}
"""Cells of unknown numbers in lower case, as people, pandas, Excel and astropy write them."""

DELIMITERS = ",;\t"

ECSV_UNIT = re.compile(r"^# ?- ?\{name: .*\bunit: ")
"""Comment that gives the unit of a column in ECSV."""

Line = tuple[int, str]
"""Number of a line in the file, from 1, and its text."""


@dataclass(frozen=True)
class Delimited:
    """Text table: stripped cells in rows of the same length as the header.

    Attributes:
        header: Names of the columns, all different. Only the first name may be empty, as pandas writes an index.
        header_line: Number of the header's line in the file, from 1.
        rows: Cells of each row.
        lines: Number of the line on which each row begins.
    """

    header: list[str]
    header_line: int
    rows: list[list[str]]
    lines: list[int]


def read_delimited(path: Path, comments_below: bool = True) -> Delimited:
    """Read a table whose columns are separated by commas, semicolons or tabs.

    The header is the first line that is not a comment. If that line holds numbers, the header is the comment above it
    with the same number of cells, as `numpy.savetxt` writes it. Comments begin with `#`. Empty lines, and empty cells
    after the last column, are ignored. The text is UTF-8, or UTF-16 with a byte order mark.

    Args:
        path: The file.
        comments_below: Whether lines below the header that begin with `#` are comments, rather than rows.

    Raises:
        UsageError: The file is not such a table. The message names the fault and the line of the file.
    """
    lines, comment, first = enumerate(io.StringIO(_text(path), newline=""), 1), (0, ""), (0, "")
    for first in lines:
        if _is_comment(first[1]):
            comment = first
            if ECSV_UNIT.search(first[1]):
                raise UsageError(
                    f"{path} is an ECSV table with units, which lenskit does not read: write the unit into the name of "
                    "each column, such as theta_E_rad, and remove the lines that begin with #"
                )
        elif first[1].strip():
            break
    else:
        raise UsageError(f"{path} is empty: a table has a header and a row for each lens")
    delimiter = max(DELIMITERS, key=first[1].count)
    records = list(_records(path, chain([first], lines), delimiter, comments_below))
    header_line, header = _header(path, records[0], comment, delimiter)
    named = len(records[0][1]) if header_line == records[0][0] else 0
    rows = records[1:] if named else records
    _check_names(path, header_line, header)
    for line, row in rows:
        if len(row) < len(header) or any(row[len(header) :]):
            if len(header) < len(row) <= named:
                raise UsageError(f"{path}, line {header_line}: column {len(header) + 1} has no name")
            hint = "; put comments above the header" if row[0].startswith("#") else ""
            raise UsageError(f"{path}, line {line}: {len(row)} cells, but the header has {len(header)}{hint}")
    return Delimited(header, header_line, [row[: len(header)] for _, row in rows], [line for line, _ in rows])


def parse_number(text: str) -> float:
    """Return the number in a cell.

    Unlike `float`, the function refuses underscores and non-ASCII digits.

    Raises:
        ValueError: The cell is not a number, or the number is too large for float64.
    """
    if "_" in text or not text.isascii():
        raise ValueError(f"no number: {text!r}")
    value = float(text)
    if math.isinf(value) and any(map(str.isdigit, text)):
        raise ValueError(f"too large a number: {text!r}")
    return value


def read_number(text: str) -> float:
    """Return the number in a cell, NaN if the cell stands for an unknown number.

    Raises:
        ValueError: See `parse_number`.
    """
    return math.nan if text.lower() in NOT_KNOWN else parse_number(text)


def read_numbers(cells: Sequence[str]) -> NDArray[np.float64]:
    """Return the numbers of a column, NaN if unknown.

    Raises:
        ValueError: See `parse_number`.
    """
    text = "".join(cells)
    if text.isascii() and "_" not in text:  # most columns hold only numbers, and `float` alone is much faster
        with suppress(ValueError):
            values = np.array(list(map(float, cells)), np.float64)
            if not np.isinf(values).any():
                return values
    return np.array(list(map(read_number, cells)), np.float64)


def _text(path: Path) -> str:
    content = path.read_bytes()
    wide = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        return content.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError as error:
        where = f"byte {content[error.start]:#04x} on line {content[: error.start].count(10) + 1}"
        raise UsageError(
            f"{path} is not a table of comma-separated values: it is not UTF-8 text ({where}); save it as UTF-8"
        ) from None


def _is_comment(line: str) -> bool:
    return line.lstrip().startswith("#")


def _records(path: Path, lines: Iterator[Line], delimiter: str, comments: bool) -> Iterator[tuple[int, list[str]]]:
    """Yield the line number and the cells of each record.

    Empty records and comments are skipped. Each record has a separate `csv.reader`, so that a line within quotes that
    begins with `#` is not a comment.
    """
    begun = False
    for number, line in lines:
        if begun and comments and _is_comment(line):
            continue
        begun = True
        record = chain([line], (more for _, more in lines))
        try:
            cells = next(csv.reader(record, delimiter=delimiter, skipinitialspace=True, strict=True))
        except csv.Error as error:
            raise UsageError(f"{path}, line {number}: invalid comma-separated values: {error}") from None
        if any(cell.strip() for cell in cells):
            yield number, [cell.strip() for cell in cells]


def _header(path: Path, first: tuple[int, list[str]], comment: Line, delimiter: str) -> tuple[int, list[str]]:
    """Return the number of the header's line, and its cells.

    The header is the first record, or the comment above the data.
    """
    line, cells = first[0], _trimmed(first[1])
    names = _trimmed([cell.strip().strip('"') for cell in comment[1].lstrip()[1:].split(delimiter)])
    if any(map(_is_data, cells)) and len(names) == len(cells) and not any(map(_is_data, names)):
        return comment[0], names
    if number := next((cell for cell in cells if _is_number(cell)), None):
        raise UsageError(
            f"{path} has no header: line {line} holds the number {number}; write the names of the columns into a line "
            "above it, such as name,theta_E"
        )
    return line, cells


def _trimmed(cells: list[str]) -> list[str]:
    """Return cells without empty cells at the end."""
    return cells[: max((place for place, cell in enumerate(cells, 1) if cell), default=0)]


def _is_number(cell: str) -> bool:
    try:
        parse_number(cell)
    except ValueError:
        return False
    return True


def _is_data(cell: str) -> bool:
    return _is_number(cell) or cell.lower() in NOT_KNOWN - {""}


def _check_names(path: Path, line: int, header: list[str]) -> None:
    where = f"{path}, line {line}"
    if any("\0" in name for name in header):
        raise UsageError(f"{path} is not a table of comma-separated values: it holds zero bytes, so it is not text")
    if len(header) == 1 and len(header[0].split()) > 1:
        raise UsageError(f"{where}: columns are separated by commas, semicolons or tabs, not by spaces")
    for place, name in enumerate(header, 1):
        if not name and place > 1:
            raise UsageError(f"{where}: column {place} has no name")
        if name in header[: place - 1]:
            raise UsageError(f"{where}: two columns are called {name!r}")
