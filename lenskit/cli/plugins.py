"""Verb `lenskit plugins`: the installed plugins and their faults."""

from __future__ import annotations

import click

from lenskit.cli.output import echo
from lenskit.registry import registry
from lenskit.words import escaped


@click.command("plugins", short_help="List the plugins and their faults")
@click.option("--timing", is_flag=True, help="Also print the load time of each plugin, the slowest first.")
def command(timing: bool) -> None:
    """List the installed plugins, with distributions, versions and errors.

    Lines under a plugin name the components that are left out and the reason, the text that it printed while loading,
    and a long loading time.
    """
    plugins = registry().plugins
    if timing:
        plugins = sorted(plugins, key=lambda plugin: -plugin.seconds)
    widths = [max((len(getattr(p, key)) for p in plugins), default=0) for key in ("name", "distribution", "version")]
    for p in plugins:
        state = f"left out: {p.error}" if p.error else f"{p.components} component{'s' * (p.components != 1)}"
        time = f"{1000 * p.seconds:7.1f} ms  " if timing else ""
        line = f"{time}{p.name:{widths[0]}}  {p.distribution:{widths[1]}}  {p.version:{widths[2]}}  {state}"
        echo(line, indent=sum(widths) + 6)
        for remark in p.remarks:
            echo(f"    {escaped(remark)}", indent=6)
    if not plugins:
        echo("no plugin is installed, or LENSKIT_PLUGINS excludes all of them")
