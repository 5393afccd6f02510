"""Names, values and lists as text: short, in one line, and obeyed by no terminal, page or figure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

MESSAGE = 400
"""Characters of a complaint, at most."""

VALUE = 80
"""Characters of one value in a message, at most."""

PATH = 200
"""Characters of one path or name in a message, at most."""

LIST = 260
"""Characters of a list in a message, beyond its first name, at most."""


def escaped(text: str, keep: str = "") -> str:
    """Replace what a terminal would not print by Python's escape sequences, such as `\\x1b`.

    These are control characters, marks that change the direction of text, and bytes that are no text.

    Args:
        text: Any text.
        keep: Characters that stay, such as a line feed.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in keep else c.encode("unicode_escape").decode() for c in text)


def shortened(text: str, most: int = VALUE) -> str:
    """Cut the middle out of a long text: it begins with what it is about and ends with advice."""
    if len(text) <= most:
        return text
    end = (most - 5) // 2
    return f"{text[: most - 5 - end]} ... {text[len(text) - end :]}"


def quoted(value: Any) -> str:
    """A value as Python writes it, on one short line."""
    try:
        return shortened(escaped(repr(value)))
    except ValueError:  # an integer with more digits than Python writes
        return f"a number of {value.bit_length()} bits" if isinstance(value, int) else f"a {type(value).__name__}"


def listed(names: Iterable[object], most: int = 12, see: str = "") -> str:
    """List names, separated by commas: as many as fit into a message, and the number of the others.

    A long path is shown whole, at the cost of the names after it.

    Args:
        names: The names.
        most: Number of names shown, at most.
        see: Command or option that shows all of them.
    """
    every = [shortened(escaped(str(name)), PATH) for name in names]
    room = LIST
    shown: list[str] = []
    for name in every[:most]:
        room -= len(name) + 2
        if shown and room < 0:
            break
        shown.append(name)
    if len(shown) == len(every):
        return ", ".join(shown)
    return f"{', '.join(shown)} and {len(every) - len(shown)} more{f'; see {see}' if see else ''}"


def as_markdown(text: str) -> str:
    """A text in Markdown: it makes no table cell, HTML element, code or link."""
    for sign, instead in (("&", "&amp;"), ("<", "&lt;"), ("|", r"\|"), ("`", r"\`"), ("](", r"]\(")):
        text = text.replace(sign, instead)
    return escaped(text)


def as_label(text: str) -> str:
    """A name in a figure of matplotlib, which would set what stands between dollars as a formula."""
    return escaped(text, keep="\n").replace("$", r"\$")


UNSAFE = ("weights_only", "allow_pickle", "pickled data", "Unsupported operand", "unpickl")
"""Words of torch and numpy about a file that could run code, which they tell how to run."""


def reason(error: BaseException) -> str:
    """An error of a library on one short line, without advice to load a file in a way that runs code in it."""
    text = str(error)
    if any(sign in text for sign in UNSAFE):
        return "it is damaged, or holds Python objects, which could run code"
    return shortened(escaped(" ".join(text.split())), 160)
