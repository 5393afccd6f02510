"""Verb `lenskit list`: the installed components."""

from __future__ import annotations

import json
from itertools import groupby

import click

from lenskit.cli.output import echo
from lenskit.component import KINDS
from lenskit.errors import UsageError, near
from lenskit.found import Record
from lenskit.registry import registry


@click.command("list", short_help="List the installed components")
@click.argument("kind", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(kind: str | None, as_json: bool) -> None:
    """List the installed components: `lenskit list methods`.

    Without KIND (simulators, methods, ...), components of all kinds are listed. `lenskit info NAME` describes a
    component and its options.
    """
    kinds = [_kind(kind)] if kind else list(KINDS)
    records = [record for name in kinds for record in registry().of_kind(name)]
    if as_json:
        echo(json.dumps([_plain(record) for record in records], indent=2))
        return
    width = max((len(record.title) for record in records), default=0)
    for name, group in groupby(records, key=lambda record: record.kind):
        echo(f"{KINDS[name]}:")
        for record in group:
            origin = "" if record.is_bundled else f"  [{record.plugin.distribution}]"
            echo(f"  {record.title:{width}}  {record.component.summary}{origin}", indent=width + 4)


def _kind(text: str) -> str:
    for kind, plural in KINDS.items():
        if text in (kind, plural):
            return kind
    raise UsageError(f"there is no kind {text!r}{near(text, KINDS.values())}; there are {', '.join(KINDS.values())}")


def _plain(record: Record) -> dict[str, str]:
    return {
        "kind": record.kind,
        "name": record.title,
        "summary": record.component.summary,
        "target": record.component.target,
        "plugin": record.plugin.name,
        "distribution": record.plugin.distribution,
        "version": record.plugin.version,
    }
