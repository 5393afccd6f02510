"""Verb `lenskit train`."""

from __future__ import annotations

import logging
import shlex
import signal
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from lenskit.errors import UsageError
from lenskit.flags import CHOICES

if TYPE_CHECKING:
    from lenskit.config import Config
    from lenskit.run import Run

KINDS: dict[type, dict[str, Any]] = {bool: {"is_flag": True}, tuple: {"multiple": True, "metavar": "NAME"}}
"""Arguments of `click.option` for flags that take no value or several values."""


def configured(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the flags that describe a training configuration, which `resolved` takes."""
    function = click.option(
        "--set", "assignments", multiple=True, metavar="SECTION.OPTION=VALUE",
        help="Set any option of the configuration; repeatable. `lenskit info NAME` lists the options of a component.",
    )(function)  # fmt: skip
    function = click.option(
        "--data", metavar="[READER:]PATH", help="Train on stored images instead of live simulations."
    )(function)
    for name, choice in reversed(CHOICES.items()):
        kind = KINDS.get(choice.kind, {"type": choice.kind})
        if choice.option == "name":
            kind = kind | {"metavar": "NAME"}
        flag = f"--{name.replace('_', '-')}"
        function = click.option(flag, name, default=None, help=choice.text, **kind)(function)
    function = click.option("--config", metavar="FILE", help="Start from a configuration file, such as RUN/run.toml.")(
        function
    )
    return click.option("--recipe", metavar="NAME|FILE", help="Start from a recipe; see `lenskit list recipes`.")(
        function
    )


def resolved(assignments: tuple[str, ...], **flags: Any) -> Config:
    """Resolve the configuration that the flags describe."""
    from lenskit.api import configuration
    from lenskit.layers import split_assignment

    return configuration(**flags, set=dict(map(split_assignment, assignments)))


@click.command("train", short_help="Train an encoder")
@configured
@click.option("--out", metavar="DIR", help="Run directory to create. [default: runs/METHOD-PAIRS]")
@click.option("--resume", metavar="DIR", help="Resume a run that was stopped or killed.")
@click.option("--overwrite", is_flag=True, help="Overwrite an existing run directory.")
@click.option("--print-config", is_flag=True, help="Print the resolved configuration and exit.")
def command(
    assignments: tuple[str, ...], out: str | None, resume: str | None, overwrite: bool, print_config: bool, **flags: Any
) -> int:
    """Train an encoder: `lenskit train --method simsiam --pairs lens-fixed`.

    Omitted options come from --config, then from the recipe, then from the defaults. --print-config shows the
    resulting configuration. Ctrl-C saves the run and prints the command that resumes it.
    """
    if resume is not None:
        given = {name: value for name, value in flags.items() if value not in (None, ())}
        return _resume(resume, given, any((assignments, out is not None, overwrite, print_config)))
    if print_config:
        click.echo(resolved(assignments, **flags).to_toml(), nl=False)
        return 0
    from lenskit.api import train
    from lenskit.layers import split_assignment

    return _report(train(**flags, set=dict(map(split_assignment, assignments)), out=out, overwrite=overwrite))


def _resume(path: str, given: dict[str, Any], other: bool) -> int:
    from lenskit.api import resume

    allowed = ("accelerator", "devices", "num_nodes", "strategy")
    if other or set(given) - set(allowed):
        raise UsageError(
            "--resume continues a run with its own configuration: the only other flags are "
            + ", ".join(f"--{name.replace('_', '-')}" for name in allowed)
        )
    return _report(resume(path, **given))


def _report(run: Run) -> int:
    """Return the exit status of a run that ended, and log the next command."""
    if not run.finished:
        from lenskit.training.processes import is_first

        # Only the first process fails: launchers kill the other processes, which may still be saving, if one fails.
        return 128 + (run.stopped_by or signal.SIGINT) if is_first() else 0
    parts = [f"the encoder is in {run.path / 'encoder'}", *_next_command(run)]
    logging.getLogger("lenskit").info("%s", "; next: ".join(parts))
    return 0


def _next_command(run: Run) -> list[str]:
    """Return the command of the evaluation that the method suggests, if any.

    Images without labels have none.
    """
    from lenskit.data.readers import open_dataset, text_of
    from lenskit.registry import registry

    evaluation = registry().find("method", run.config.name("method")).load().judged_by
    data = run.config.sections.get("data")
    if not evaluation or (data and not open_dataset(text_of(data)).parameters):
        return []
    return [shlex.join(["lenskit", evaluation, str(run.path), *(["--data", text_of(data)] if data else [])])]
