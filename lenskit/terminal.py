"""Output that fits the terminal: wrapped text, tables and progress bars."""

from __future__ import annotations

import os
import re
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, TextIO

from lenskit.words import escaped, listed

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, ProgressColumn

USUAL = 80
"""Columns of a terminal of unknown width."""

GAP = 2
"""Spaces between two columns of a table."""

PROSE = 32
"""A cell that is longer than this many characters may be wrapped; a shorter one stays whole."""

PARTS = re.compile(r"[^/]*/|[^/]+")
"""Parts of a path."""

NARROWEST = 24
"""Minimum width of a column of wrapped text. If the table is still too wide, columns at the right are left out."""


def width_of(stream: TextIO) -> int | None:
    """Return the width of the terminal of a stream; None for a file or a pipe."""
    if not stream.isatty():
        return None
    with suppress(KeyError, ValueError):
        if (columns := int(os.environ["COLUMNS"])) > 0:
            return columns
    with suppress(OSError, ValueError):
        return os.get_terminal_size(stream.fileno()).columns or USUAL
    return USUAL


def wrapped(text: str, width: int | None, indent: int = 2) -> str:
    """Wrap the lines of a text at spaces.

    A word that is longer than a line, such as a path, stays whole, so that it can be copied.

    Args:
        text: One line or several.
        width: Width in columns; None for no wrapping.
        indent: Spaces before continuation lines.
    """
    if width is None:
        return text
    further = " " * (indent if indent <= width // 2 else 2)
    return "\n".join(
        textwrap.fill(line, width, subsequent_indent=further, break_long_words=False, break_on_hyphens=False)
        if len(line) > width
        else line
        for line in text.split("\n")
    )


def console(**options: Any) -> Console:
    """Return a console of rich without markup and emoji."""
    from rich.console import Console

    return Console(markup=False, emoji=False, highlight=False, **options)


def print_table(
    header: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    title: str = "",
    right: int | None = None,
    styles: Mapping[str, str] | None = None,
    complete: str = "",
    most: int | None = None,
) -> None:
    """Print a table to stdout.

    On a terminal, columns at the right are left out until the other columns fit, and a line below names the omitted
    columns. If a table with one row does not fit, its cells are printed below each other instead. In a file or a pipe,
    all columns are printed and nothing is wrapped.

    Args:
        header: Names of the columns, the most important first.
        rows: Cells of each row.
        title: Line above the table.
        right: Number of the first right-aligned column; by default all columns are left-aligned.
        styles: Style of rich by the text of a cell.
        complete: Note on where the complete table is, such as `the complete table is in FILE`.
        most: Largest number of rows on a terminal; the line below counts the other rows.
    """
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    header = [escaped(name) for name in header]
    width = width_of(sys.stdout)
    lines = [[escaped(cell) for cell in row] for row in (rows if width is None else rows[:most])]
    more = [f"{len(rows) - len(lines)} more rows"] if len(lines) < len(rows) else []
    widths = fit(header, lines, width)
    if len(rows) == 1 and len(widths) < len(header):
        (line,) = lines
        header, *lines = [[name, cell] for name, cell in zip(header, line, strict=True)]
        widths = fit(header, lines, width)
    shown = console(width=max(width or 0, sum(widths) + GAP * len(widths)))
    if title:
        shown.print(Text(wrapped(escaped(title), width, indent=0), "bold"), soft_wrap=True)
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, GAP - 1, 0, 0))
    for number, (name, own) in enumerate(zip(header, widths, strict=False)):
        flush_right = right is not None and number >= right
        table.add_column(Text(broken(name, own)), width=own, no_wrap=True, justify="right" if flush_right else "left")
    for line in lines:
        cells = zip(line, widths, strict=False)
        table.add_row(*(Text(broken(cell, own), (styles or {}).get(cell, "")) for cell, own in cells))
    shown.print(table)
    if left_out := more + header[len(widths) :]:
        text = f"not shown: {listed(left_out)}{f'; {escaped(complete)}' if complete else ''}"
        shown.print(Text(wrapped(text, width), "dim"), soft_wrap=True)
    shown.print()


def fit(header: Sequence[str], rows: Sequence[Sequence[str]], width: int | None) -> list[int]:
    """Return the widths of as many columns as fit next to each other.

    Headers and long texts are wrapped first; then columns are left out from the right. Two columns always stay.

    Args:
        header: Names of the columns.
        rows: Cells of each row, one per column.
        width: Width of the terminal; None for no limit.

    Returns:
        One width for each column that is shown.
    """
    cells = [[row[number] for row in rows] for number in range(len(header))]
    natural = [max(map(_length, [name, *own])) for name, own in zip(header, cells, strict=True)]
    if width is None or sum(natural) + GAP * (len(natural) - 1) <= width:
        return natural
    least = [max(_longest_word(name), *map(_least, own), 1) for name, own in zip(header, cells, strict=True)]
    # Long words in headers, and paths, must not displace other columns.
    most = (width - GAP) // 2
    if sum(least[:2]) + GAP > width:
        least[:2] = [min(own, most) for own in least[:2]]
    count = len(header)
    while count > 2 and sum(least[:count]) + GAP * (count - 1) > width:
        count -= 1
    widths, room = least[:count], width - sum(least[:count]) - GAP * (count - 1)
    for number in range(count):
        more = min(natural[number] - widths[number], room)
        widths[number] += more
        room -= more
    return widths


def broken(text: str, width: int) -> str:
    """Wrap the text of a cell.

    It is wrapped at spaces, long paths after a slash, and longer words anywhere.
    """
    lines: list[str] = []
    for word in text.split(" "):
        joined = f"{lines[-1]} {word}" if lines else word
        if _length(joined) <= width:
            lines[-1:] = [joined]
            continue
        line = ""
        for part in PARTS.findall(word):
            if line and _length(line + part) > width:
                lines.append(line)
                line = ""
            line += part
            while _length(line) > width:
                cut = _fitting(line, width)
                lines.append(line[:cut])
                line = line[cut:]
        lines.append(line)
    return "\n".join(lines)


def _fitting(text: str, width: int) -> int:
    """Return the number of leading characters that fit into a width, at least one."""
    return max(1, next(n for n in range(len(text), -1, -1) if _length(text[:n]) <= width))


def _length(text: str) -> int:
    from rich.cells import cell_len

    return cell_len(text)


def _longest_word(text: str) -> int:
    """Return the width of the longest word; a long path can be wrapped after a slash."""
    words = [part for word in text.split(" ") for part in (PARTS.findall(word) if len(word) > PROSE else [word])]
    return max(map(_length, words), default=0)


def _least(cell: str) -> int:
    """Return the minimum width of a cell.

    A long text or path may be wrapped. A number with its interval stays whole.
    """
    length = _length(cell)
    return min(max(_longest_word(cell), NARROWEST), length) if length > PROSE else length


def progress(*columns: ProgressColumn, shown: Console, transient: bool = False) -> Progress:
    """Return a progress bar as wide as the terminal.

    After two steps it ends with the remaining time. Messages appear above it. Without a terminal nothing is shown.

    Args:
        columns: Texts next to the bar; the first is before it.
        shown: Console for the bar.
        transient: Whether to remove the bar at the end.
    """
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
    from rich.table import Column

    first, *others = columns
    # The bar fills the remaining width.
    bar, left = Column(ratio=1), Column(no_wrap=True)
    return Progress(
        first, BarColumn(None, table_column=bar), *others, TimeRemainingColumn(table_column=left), TextColumn("left"),
        console=shown,
        expand=True,
        transient=transient,
        disable=not shown.is_interactive,
        # With rich's default of 30 s, steps that take minutes would have no rate.
        speed_estimate_period=3600,
        # Redirected output is not captured.
        redirect_stdout=sys.stdout.isatty(),
    )  # fmt: skip


@contextmanager
def counted(label: str, total: int) -> Iterator[Callable[[int], None]]:
    """Show a progress bar of a long preparation on stderr, and remove it at the end.

    Args:
        label: Name of the steps, such as `stamps`.
        total: Number of steps.

    Yields:
        Function that takes the number of steps just done.
    """
    from rich.progress import MofNCompleteColumn, TextColumn

    label_column = TextColumn("{task.description}")
    bar = progress(label_column, MofNCompleteColumn(), shown=console(stderr=True), transient=True)
    task = bar.add_task(label, total=total)
    with bar:
        yield lambda done: bar.advance(task, done)
