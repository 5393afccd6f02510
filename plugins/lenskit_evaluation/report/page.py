"""Self-contained HTML page of tables and plots, without scripts."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any

from jinja2 import Template

from lenskit.evaluation import as_text, stamp

NUMBER = tuple("-+.0123456789")
"""Characters that a number can begin with."""


@dataclass(frozen=True)
class Chapter:
    """Chapter of the page.

    Attributes:
        title: Heading.
        tables: Rows of each table.
        pictures: Name and PNG data of each plot, shown below the tables.
        text: Sentence above the tables.
        folded: Texts that the reader can unfold, by title.
    """

    title: str
    tables: Sequence[Sequence[Mapping[str, Any]]] = ()
    pictures: Sequence[tuple[str, bytes]] = ()
    text: str = ""
    folded: Mapping[str, str] = field(default_factory=dict)


def page(title: str, chapters: Sequence[Chapter]) -> str:
    """Return the HTML of the page; all texts are escaped, so no text can act as HTML."""
    text = files(__package__).joinpath("page.html").read_text(encoding="utf-8")
    template = Template(text, autoescape=True, trim_blocks=True, keep_trailing_newline=True)
    return template.render(title=title, chapters=chapters, stamp=stamp(), cells=_cells, base64=b64encode)


def _cells(rows: Sequence[Mapping[str, Any]]) -> tuple[list[dict[str, str]], set[str]]:
    """Return the cells of a table as text, and the names of the columns of numbers."""
    lines = as_text(rows)
    return lines, {name for name in (lines or [{}])[0] if all(line[name].startswith(NUMBER) for line in lines)}
