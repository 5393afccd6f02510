"""Saving of plots whose texts contain names from users and plugins."""

from __future__ import annotations

from typing import IO, Any

from matplotlib.figure import Figure
from matplotlib.mathtext import MathTextParser
from matplotlib.text import Text

from lenskit.words import escaped


def save_figure(figure: Figure, file: str | IO[bytes], **options: Any) -> None:
    """Save a plot. Its texts may contain any characters; see `settle_texts`."""
    settle_texts(figure)
    figure.savefig(file, **options)


def settle_texts(figure: Figure) -> None:
    """Escape control characters in the texts of a plot, and disable invalid formulas.

    A text whose formulas ($...$) matplotlib cannot parse is shown literally.
    """
    for axes in figure.axes:
        axes.get_xticklabels(), axes.get_yticklabels()  # creates the tick labels, so that `findobj` finds them
    for text in figure.findobj(Text):
        shown = escaped(text.get_text(), keep="\n")
        if shown != text.get_text():
            text.set_text(shown)
        if "$" in shown and not _is_formula(shown):
            text.set_parse_math(False)


def _is_formula(text: str) -> bool:
    """Whether matplotlib can parse the formulas ($...$) in each line of a text."""
    try:
        for line in text.splitlines():
            MathTextParser("agg").parse(line)
    except ValueError:
        return False
    return True
