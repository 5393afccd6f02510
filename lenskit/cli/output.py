"""Output of the command line: a terminal and rich show text that others wrote, and do not obey it."""

from __future__ import annotations

import sys

import click

from lenskit.terminal import width_of, wrapped
from lenskit.words import escaped


def echo(text: str = "", indent: int = 2) -> None:
    """Print lines; on a terminal they are wrapped at words.

    Args:
        text: One line or several.
        indent: Spaces before each further line that a line is wrapped to.
    """
    click.echo(wrapped(escaped(text, keep="\n"), width_of(sys.stdout), indent))
