"""Verb `lenskit evaluate NAME RUN...`, the long form of `lenskit NAME RUN...`."""

from __future__ import annotations

import click

from lenskit.errors import UsageError, near
from lenskit.naming import parse
from lenskit.registry import registry
from lenskit.words import escaped


class Evaluations(click.Group):
    """Group of the evaluations of all plugins."""

    def list_commands(self, context: click.Context) -> list[str]:
        return [record.typed for record in registry().of_kind("evaluation")]

    def get_command(self, context: click.Context, name: str) -> click.Command:
        from lenskit.cli.evaluation import command_of

        if all(record.name != parse(name).head for record in registry().of_kind("evaluation")):
            raise UsageError(
                registry().why_refused(name, "evaluation")
                or f"there is no evaluation {name!r}{near(name, self.list_commands(context))}; "
                "`lenskit list evaluations` lists them"
            )
        return command_of(name)

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        records = registry().of_kind("evaluation")
        with formatter.section("Evaluations"):
            formatter.write_dl([(record.typed, escaped(record.component.summary)) for record in records])


@click.group("evaluate", cls=Evaluations, short_help="Evaluate runs with any evaluation")
def command() -> None:
    """Evaluate runs: `lenskit evaluate NAME RUN...`, or shorter `lenskit NAME RUN...`.

    `lenskit evaluate NAME --help` lists the options of an evaluation.
    """
