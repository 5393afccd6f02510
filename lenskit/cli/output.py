"""Output of the command line: a terminal and rich show text that others wrote, and do not obey it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from lenskit.words import escaped

if TYPE_CHECKING:
    from rich.console import Console


def echo(text: str = "") -> None:
    """Print lines."""
    click.echo(escaped(text, keep="\n"))


def console(**options: Any) -> Console:
    """A console of rich that takes no text for markup, and none for emoji."""
    from rich.console import Console

    return Console(markup=False, emoji=False, highlight=False, **options)
