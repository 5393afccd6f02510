"""A page of tables and pictures in one HTML file that needs nothing else: no script, no network."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any

from jinja2 import Template

from lenskit.evaluation import as_text, stamp

NUMBER = tuple("-+.0123456789")
"""What numbers begin with."""


@dataclass(frozen=True)
class Chapter:
    """A part of the page.

    Attributes:
        title: Its heading.
        tables: Rows of each table.
        pictures: Name and PNG file of each picture, shown below the tables.
        text: A sentence above them.
        folded: Texts that are shown when they are asked for, by what they are.
    """

    title: str
    tables: Sequence[Sequence[Mapping[str, Any]]] = ()
    pictures: Sequence[tuple[str, bytes]] = ()
    text: str = ""
    folded: Mapping[str, str] = field(default_factory=dict)


def page(title: str, chapters: Sequence[Chapter]) -> str:
    """The page's HTML; all that is given is text, and shown as such."""
    text = files(__package__).joinpath("page.html").read_text(encoding="utf-8")
    template = Template(text, autoescape=True, trim_blocks=True, keep_trailing_newline=True)
    return template.render(title=title, chapters=chapters, stamp=stamp(), cells=_cells, base64=b64encode)


def _cells(rows: Sequence[Mapping[str, Any]]) -> tuple[list[dict[str, str]], set[str]]:
    """The cells of a table as text, and the columns in which all are numbers."""
    lines = as_text(rows)
    return lines, {name for name in (lines or [{}])[0] if all(line[name].startswith(NUMBER) for line in lines)}
