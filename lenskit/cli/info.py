"""`lenskit info`: a component and its options."""

from __future__ import annotations

import shutil

import click

from lenskit.component import FILES
from lenskit.registry import registry


@click.command("info", short_help="Explain a component and its options")
@click.argument("name")
def command(name: str) -> None:
    """Explain the component NAME: what it is, where it comes from, and its options."""
    for number, record in enumerate(registry().find_any(name)):
        if number:
            click.echo()
        plugin = record.plugin
        click.echo(f"{record.title} ({record.kind}): {record.component.summary}")
        click.echo(f"from {plugin.distribution} {plugin.version}: {record.component.target}")
        if record.kind in FILES:
            click.echo(f"\n{record.load().rstrip()}")
            continue
        _explain(record.load())


def _explain(component: type) -> None:
    from lenskit.options import description, options_of

    options = options_of(component)
    if text := description(component):
        click.echo(f"\n{text}")
    click.echo("\noptions:" if options else "\nIt has no options.")
    width = min(shutil.get_terminal_size().columns, 120)
    for option in options:
        default = "nothing" if option.default is None else option.default
        click.echo(f"  {option.name}: {option.takes}, {'required' if option.required else f'default {default}'}")
        click.echo(click.wrap_text(option.meaning, width, initial_indent=" " * 6, subsequent_indent=" " * 6))
