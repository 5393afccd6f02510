"""Foreign text in messages: short, in one line, and without control characters."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

MESSAGE = 400
"""Largest number of characters of a message."""

VALUE = 80
"""Largest number of characters of one value in a message."""

PATH = 200
"""Largest number of characters of one path or name in a message."""

LIST = 260
"""Largest number of characters of a list in a message; the first name is always shown."""


def escaped(text: str, keep: str = "") -> str:
    """Replace unprintable characters by Python's escape sequences, such as `\\x1b`.

    Unprintable are control characters, characters that change the direction of text, and bytes that are not text.

    Args:
        text: Any text.
        keep: Characters to keep, such as a line feed.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in keep else c.encode("unicode_escape").decode() for c in text)


def shortened(text: str, most: int = VALUE) -> str:
    """Shorten a long text by removing its middle.

    In a message, the beginning names the subject, and the end gives advice.
    """
    if len(text) <= most:
        return text
    end = (most - 5) // 2
    return f"{text[: most - 5 - end]} ... {text[len(text) - end :]}"


def quoted(value: Any) -> str:
    """Return the `repr` of a value, escaped and shortened to `VALUE` characters."""
    try:
        return shortened(escaped(repr(value)))
    except ValueError:  # an integer with more digits than Python writes
        return f"a number of {value.bit_length()} bits" if isinstance(value, int) else f"a {type(value).__name__}"


def listed(names: Iterable[object], most: int = 12, see: str = "") -> str:
    """Join names with commas, as far as a message permits, and count the rest.

    The first name is always shown, with at most `PATH` characters.

    Args:
        names: The names.
        most: Largest number of names.
        see: Command or option that shows all names.
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
    """Escape text for Markdown, so that it forms no table cell, HTML, code or link."""
    for sign, instead in (("&", "&amp;"), ("<", "&lt;"), ("|", r"\|"), ("`", r"\`"), ("](", r"]\(")):
        text = text.replace(sign, instead)
    return escaped(text)


def as_label(text: str) -> str:
    """Escape a name for plots of matplotlib, where dollar signs mark formulas."""
    return escaped(text, keep="\n").replace("$", r"\$")


UNSAFE = ("weights_only", "allow_pickle", "pickled data", "Unsupported operand", "unpickl")
"""Words in errors of torch and NumPy that advise to load a file in a way that can run code."""


def reason(error: BaseException) -> str:
    """Return the message of a library's error on one short line.

    An error that advises to load a file in a way that can run code is replaced.
    """
    text = str(error)
    if any(sign in text for sign in UNSAFE):
        return "it is damaged, or holds Python objects, which could run code"
    return shortened(escaped(" ".join(text.split())), 160)
