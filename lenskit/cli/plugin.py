"""Verb `lenskit plugin`: create a plugin, or check an installed one."""

from __future__ import annotations

from pathlib import Path

import click

from lenskit.cli.output import echo
from lenskit.component import KINDS
from lenskit.words import escaped


@click.group("plugin", short_help="Create or check a plugin")
def command() -> None:
    """Create a plugin from templates, or check an installed plugin."""


@command.command("new", short_help="Create a plugin from templates")
@click.argument("name", metavar="NAME")
@click.option(
    "--kind", "kinds", multiple=True, required=True, type=click.Choice(list(KINDS)),
    help="Kind of a component; repeatable.",
)  # fmt: skip
@click.option("--folder", metavar="PATH", help="Folder to create. [default: lenskit-ssl-NAME]")
def new(name: str, kinds: tuple[str, ...], folder: str | None) -> None:
    """Create a plugin with a working component of each kind.

    Example: `lenskit plugin new rings --kind simulator`. The folder has the component, its tests, a README, a licence
    and a workflow for GitHub. The component is called NAME, or NAME-KIND if there are several.
    """
    from lenskit.scaffold.new import distribution_of, new_plugin

    path = new_plugin(name, kinds, Path(folder) if folder else None)
    echo(f"{path} is a plugin with {', '.join(dict.fromkeys(kinds))}; next:")
    for line in (f"cd {path}", "pip install -e '.[dev]'", f"lenskit plugin check {distribution_of(name)}", "pytest"):
        click.echo(f"    {line}")


@command.command("check", short_help="Check an installed plugin")
@click.argument("plugin", metavar="[DISTRIBUTION|MODULE]", required=False)
@click.option("--verbose", "-v", is_flag=True, help="Also list the tests that passed, with their times.")
def check(plugin: str | None, verbose: bool) -> int:
    """Test an installed plugin at tiny sizes.

    Example: `lenskit plugin check lenskit-ssl-rings`. The tests are those of `lenskit.testing`. Each fault names the
    line to change. Without an argument, all plugins of third parties are checked. The exit status is 1 if there is a
    fault.
    """
    from lenskit.errors import UsageError
    from lenskit.naming import BUNDLED, is_same_distribution
    from lenskit.registry import registry
    from lenskit.testing.check import check_plugin, find_distribution

    names = {p.distribution: None for p in registry().plugins if not is_same_distribution(p.distribution, BUNDLED)}
    chosen = [find_distribution(plugin)] if plugin else list(names)
    if not chosen:
        raise UsageError("no plugin of a third party is installed: type lenskit plugin check DISTRIBUTION")
    faults = passed = skipped = 0
    for distribution in chosen:
        reasons: dict[tuple[str, str], int] = {}
        for outcome in check_plugin(distribution):
            faults += bool(outcome.fault)
            skipped += bool(outcome.skipped)
            passed += not (outcome.fault or outcome.skipped)
            if outcome.skipped:
                reason = (outcome.subject, outcome.skipped)
                reasons[reason] = reasons.get(reason, 0) + 1
            elif outcome.fault or verbose:
                result = f"FAULT  {outcome.subject}: {outcome.test}: {outcome.fault}"
                if not outcome.fault:
                    result = f"ok  {outcome.subject}: {outcome.test} ({outcome.seconds:.1f} s)"
                echo(escaped(result), indent=4)
        for (subject, why), number in reasons.items():
            echo(escaped(f"skipped  {subject}: {number} {'test' if number == 1 else 'tests'}: {why}"), indent=4)
    echo(f"{passed} passed, {skipped} skipped, {faults} {'fault' if faults == 1 else 'faults'}")
    return int(faults > 0)
