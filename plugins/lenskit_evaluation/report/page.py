"""A page of tables and pictures in one HTML file that needs nothing else: no script, no network."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any

from lenskit.evaluation import as_text, stamp

STYLE = """
:root { color-scheme: light; }
body { font: 15px/1.5 system-ui, sans-serif; color: #222; max-width: 1100px; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.7rem; margin-bottom: .5rem; }
h2 { font-size: 1.2rem; margin-top: 2.5rem; border-bottom: 1px solid #ddd; padding-bottom: .2rem; }
nav a { margin-right: 1rem; color: #0b5cad; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: .87rem; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .7rem; border-bottom: 1px solid #e4e4e4; text-align: left; white-space: nowrap; }
th { background: #f5f5f5; }
td.number, th.number { text-align: right; }
figure { margin: 1rem 0; }
figure img { max-width: 100%; height: auto; }
figcaption { color: #666; font-size: .85rem; }
details { margin: .7rem 0; }
summary { cursor: pointer; color: #0b5cad; }
pre { background: #f7f7f7; padding: .8rem; overflow-x: auto; font-size: .8rem; }
"""


@dataclass(frozen=True)
class Picture:
    """A PNG file and what it is called."""

    name: str
    png: bytes


@dataclass(frozen=True)
class Chapter:
    """A part of the page.

    Attributes:
        title: Its heading.
        tables: Rows of each table.
        pictures: Shown below the tables.
        text: A sentence above them.
        folded: Texts that are shown when they are asked for, by what they are.
    """

    title: str
    tables: Sequence[Sequence[Mapping[str, Any]]] = ()
    pictures: Sequence[Picture] = ()
    text: str = ""
    folded: Mapping[str, str] = field(default_factory=dict)


def page(title: str, chapters: Sequence[Chapter]) -> str:
    """The page's HTML; all that is given is text, and shown as such."""
    links = "".join(f'<a href="#{number}">{escape(c.title)}</a> ' for number, c in enumerate(chapters))
    body = "".join(_section(number, chapter) for number, chapter in enumerate(chapters))
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{escape(title)}</title>\n'
        f'<meta name="generator" content="{stamp()}">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n<style>{STYLE}</style>\n</head>\n'
        f"<body>\n<h1>{escape(title)}</h1>\n<nav>{links}</nav>\n{body}</body>\n</html>\n"
    )


def _section(number: int, chapter: Chapter) -> str:
    parts: list[str] = [f'<section>\n<h2 id="{number}">{escape(chapter.title)}</h2>\n']
    if chapter.text:
        parts.append(f"<p>{escape(chapter.text)}</p>\n")
    parts += map(_table, chapter.tables)
    parts += map(_figure, chapter.pictures)
    for name, text in chapter.folded.items():
        parts.append(f"<details><summary>{escape(name)}</summary><pre>{escape(text)}</pre></details>\n")
    return "".join([*parts, "</section>\n"])


def _table(rows: Sequence[Mapping[str, Any]]) -> str:
    lines = as_text(rows)
    header = list(lines[0]) if lines else []
    numeric = {name for name in header if all(_is_number(line[name]) for line in lines)}
    head = "".join(_cell("th", name, name in numeric) for name in header)
    body = "".join(
        f"<tr>{''.join(_cell('td', line[name], name in numeric) for name in header)}</tr>\n" for line in lines
    )
    return f'<div class="wide"><table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}</tbody>\n</table></div>\n'


def _cell(tag: str, text: str, number: bool) -> str:
    kind = ' class="number"' if number else ""
    return f"<{tag}{kind}>{escape(text)}</{tag}>"


def _is_number(text: str) -> bool:
    return text[:1] in "-+.0123456789" and bool(text)


def _figure(picture: Picture) -> str:
    data = base64.b64encode(picture.png).decode()
    name = escape(picture.name)
    return f'<figure><img alt="{name}" src="data:image/png;base64,{data}"><figcaption>{name}</figcaption></figure>\n'
