"""Plots whose labels contain names from users and plugins."""

from __future__ import annotations

from typing import IO, Any

from matplotlib.figure import Figure
from matplotlib.mathtext import MathTextParser
from matplotlib.text import Text

from lenskit.words import escaped


def save_figure(figure: Figure, file: str | IO[bytes], **options: Any) -> None:
    """Write a figure, with texts escaped by `settle_texts` where necessary."""
    settle_texts(figure)
    figure.savefig(file, **options)


def settle_texts(figure: Figure) -> None:
    """Escape texts of a figure that matplotlib cannot draw as formulas."""
    for axes in figure.axes:
        axes.get_xticklabels(), axes.get_yticklabels()  # which are made when they are asked for
    for text in figure.findobj(Text):
        shown = escaped(text.get_text(), keep="\n")
        if shown != text.get_text():
            text.set_text(shown)
        if "$" in shown and not _is_formula(shown):
            text.set_parse_math(False)


def _is_formula(text: str) -> bool:
    """Whether matplotlib can typeset all formulas between dollar signs, line by line."""
    try:
        for line in text.splitlines():
            MathTextParser("agg").parse(line)
    except ValueError:
        return False
    return True
