"""`lenskit info`: a component and its options."""

from __future__ import annotations

import click

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
        if record.kind == "recipe":
            click.echo(f"\n{record.load().rstrip()}")
            continue
        _explain(record.load())


def _explain(component: type) -> None:
    from rich.console import Console
    from rich.table import Table

    from lenskit.options import description, options_of

    options = options_of(component)
    if text := description(component):
        click.echo(f"\n{text}")
    if not options:
        click.echo("\nIt has no options.")
        return
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_edge=False)
    for title in ("option", "takes", "default", "meaning"):
        table.add_column(title, overflow="fold")
    for option in options:
        default = "(required)" if option.required else "-" if option.default is None else str(option.default)
        table.add_row(option.name, option.takes, default, option.meaning)
    click.echo()
    console = Console(highlight=False, markup=False)
    console.print(table)
