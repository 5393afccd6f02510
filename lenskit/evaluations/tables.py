"""Tables of metrics, for people and for programs."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from os import PathLike, fspath
from typing import Any

from lenskit.terminal import print_table
from lenskit.words import as_markdown, escaped

TableRows = Sequence[Mapping[str, Any]]
"""Rows of a table: values by column name; a row may lack columns."""


ROWS = 60
"""Maximum number of rows that `show` prints on a terminal if a file has the complete table."""


def to_markdown(rows: TableRows) -> str:
    """Return a table in GitHub's Markdown."""
    header, lines = _cells(rows)
    marked = [[as_markdown(cell) for cell in line] for line in [header, ["---"] * len(header), *lines]]
    return "".join(f"| {' | '.join(line)} |\n" for line in marked)


def as_text(rows: TableRows) -> list[dict[str, str]]:
    """Return the rows with all columns, each cell as the text that `show` prints."""
    header, lines = _cells(rows)
    return [dict(zip(header, line, strict=True)) for line in lines]


def to_csv(rows: TableRows) -> str:
    """Return comma-separated values with a header; numbers keep their full precision."""
    text = io.StringIO()
    writer = csv.DictWriter(text, _columns(rows), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def show(rows: TableRows, title: str = "", file: str | PathLike[str] = "") -> None:
    """Print a table.

    A terminal shows only the first columns that fit and, with `file`, the first `ROWS` rows.

    Args:
        rows: The rows.
        title: Line above the table.
        file: File that holds the complete table. A message names it if columns or rows are left out.
    """
    header, lines = _cells(rows)
    complete = f"the complete table is in {fspath(file)}" if file else ""
    print_table(header, lines, title=title, complete=complete, most=ROWS if file else None)


def _columns(rows: TableRows) -> list[str]:
    """Return all columns, in the order of their first occurrence."""
    return list(dict.fromkeys(column for row in rows for column in row))


def _cells(rows: TableRows) -> tuple[list[str], list[list[str]]]:
    """Return header and cells as text; numbers have three decimals."""
    columns = _columns(rows)
    lines = [[_text(row.get(column, "")) for column in columns] for row in rows]
    return [escaped(column) for column in columns], lines


def _text(value: Any) -> str:
    return f"{value:.3f}" if isinstance(value, float) else escaped(str(value))
