"""`lenskit plugins`: what was found, and why something failed."""

from __future__ import annotations

import click

from lenskit.cli.output import echo
from lenskit.registry import registry


@click.command("plugins", short_help="List the plugins, and why one failed")
def command() -> None:
    """List the plugins that are installed, with their distributions and versions, and why one failed."""
    plugins = registry().plugins
    widths = [max((len(getattr(p, key)) for p in plugins), default=0) for key in ("name", "distribution", "version")]
    for p in plugins:
        state = f"left out: {p.error}" if p.error else f"{p.components} component{'s' * (p.components != 1)}"
        state = "; ".join([state, *p.refused])
        line = f"{p.name:{widths[0]}}  {p.distribution:{widths[1]}}  {p.version:{widths[2]}}  {state}"
        echo(line, indent=sum(widths) + 6)
    if not plugins:
        echo("no plugin is installed, or LENSKIT_PLUGINS names none")
