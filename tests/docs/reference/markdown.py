"""Markdown from docstrings and help texts."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[3]

DOCS = ROOT / "docs"

_URL = re.compile(r"(?<!\]\()(?<![<`\w])https?://[^\s,;)>`]*[^\s,;)>`.:]")
_PAGE = re.compile(r"`?\bdocs/([\w/-]+\.md)`?")


def head(title: str, text: str) -> str:
    """Return the first lines of a generated page."""
    return (
        f"# {title}\n\n{text}\n\n"
        "<!-- This page is generated: change the code, then run `python -m tests.docs.reference`. -->\n"
    )


def prose(text: str, page: Path) -> str:
    """Return a docstring or a help text as Markdown.

    Addresses and names of pages become links, except in code.

    Args:
        text: The text.
        page: The page that shows it.
    """
    lines, fenced = [], False
    for line in text.strip().splitlines():
        fenced ^= line.startswith("```")
        lines.append(line if fenced or line.startswith("    ") else linked(line, page))
    return "\n".join(lines)


def linked(text: str, page: Path) -> str:
    """Return a text with links to the addresses and pages that it names."""
    text = _URL.sub(lambda match: f"<{match[0]}>", text)
    return _PAGE.sub(lambda match: f"[{match[1].removesuffix('.md')}]({_relative(DOCS / match[1], page)})", text)


def table(names: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table; bars and line breaks in cells are escaped."""
    lines = [names, ["---"] * len(names), *rows]
    return "\n".join(f"| {' | '.join(map(_cell, line))} |" for line in lines)


def options_table(rows: Iterable[Sequence[str]]) -> str:
    """Return a table of options: name, value, default, meaning; empty if none."""
    lines = list(rows)
    return stacked(table(["option", "value", "default", "meaning"], lines), "options") if lines else ""


def stacked(text: str, name: str) -> str:
    """Return a table with classes for the style sheet docs/stylesheets/tables.css.

    On a narrow screen the last column is below the others.

    Args:
        text: The table.
        name: Class that selects the labels of the cells.
    """
    return f'<div class="stacked {name}" markdown>\n\n{text}\n\n</div>'


def code(text: object) -> str:
    """Return a text as code; an empty text stays empty."""
    return f"`{text}`" if str(text) else ""


def codes(texts: Iterable[object]) -> str:
    """Return texts as code, separated by commas."""
    return ", ".join(map(code, texts))


def block(text: str, language: str) -> str:
    """Return a block of code."""
    return f"```{language}\n{text.rstrip()}\n```"


def _cell(text: str) -> str:
    return " ".join(text.replace("|", r"\|").split())


def _relative(target: Path, page: Path) -> str:
    return Path(os.path.relpath(target, page.parent)).as_posix()
