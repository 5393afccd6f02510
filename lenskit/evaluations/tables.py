"""Tables of figures, for people and for programs."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from os import PathLike, fspath
from typing import Any

from lenskit.terminal import print_table
from lenskit.words import as_markdown, escaped

TableRows = Sequence[Mapping[str, Any]]
"""Rows of a table by the names of its columns; a row may lack some."""


ROWS = 60
"""Rows that `show` prints on a terminal, at most, of a table that is in a file."""


def to_markdown(rows: TableRows) -> str:
    """A table in GitHub's Markdown."""
    header, lines = _cells(rows)
    marked = [[as_markdown(cell) for cell in line] for line in [header, ["---"] * len(header), *lines]]
    return "".join(f"| {' | '.join(line)} |\n" for line in marked)


def as_text(rows: TableRows) -> list[dict[str, str]]:
    """The same with every cell there, as it is shown."""
    header, lines = _cells(rows)
    return [dict(zip(header, line, strict=True)) for line in lines]


def to_csv(rows: TableRows) -> str:
    """Comma-separated values with a header; numbers are written so that they are read back the same."""
    text = io.StringIO()
    writer = csv.DictWriter(text, _columns(rows), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def show(rows: TableRows, title: str = "", file: str | PathLike[str] = "") -> None:
    """Print a table; on a terminal only the first columns that fit, and the first `ROWS` rows.

    Args:
        rows: The rows.
        title: Line above the table.
        file: File that holds the complete table, named where columns are left out.
    """
    header, lines = _cells(rows)
    complete = f"the complete table is in {fspath(file)}" if file else ""
    print_table(header, lines, title=title, complete=complete, most=ROWS if file else None)


def _columns(rows: TableRows) -> list[str]:
    """All columns, in the order in which they first occur."""
    return list(dict.fromkeys(column for row in rows for column in row))


def _cells(rows: TableRows) -> tuple[list[str], list[list[str]]]:
    """Header and cells as text; numbers with three decimals."""
    columns = _columns(rows)
    lines = [[_text(row.get(column, "")) for column in columns] for row in rows]
    return [escaped(column) for column in columns], lines


def _text(value: Any) -> str:
    return f"{value:.3f}" if isinstance(value, float) else escaped(str(value))
