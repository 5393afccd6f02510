"""Output of the command line, in which foreign text cannot control the terminal."""

from __future__ import annotations

import sys

import click

from lenskit.terminal import width_of, wrapped
from lenskit.words import escaped


def echo(text: str = "", indent: int = 2) -> None:
    """Print lines; on a terminal they are wrapped at words.

    Args:
        text: One line or several.
        indent: Number of spaces before the second and each later part of a wrapped line.
    """
    click.echo(wrapped(escaped(text, keep="\n"), width_of(sys.stdout), indent))
