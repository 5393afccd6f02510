"""`lenskit train`."""

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
"""How flags are declared that take no value, or several."""


def configured(function: Callable[..., Any]) -> Callable[..., Any]:
    """The flags that say what is trained; `resolved` takes them."""
    function = click.option(
        "--set", "assignments", multiple=True, metavar="SECTION.OPTION=VALUE", help="Set any option."
    )(function)
    function = click.option(
        "--data", metavar="[READER:]PATH", help="Train on stored images instead of live simulations."
    )(function)
    for name, choice in reversed(CHOICES.items()):
        kind = KINDS.get(choice.kind, {"type": choice.kind})
        flag = f"--{name.replace('_', '-')}"
        function = click.option(flag, name, default=None, help=choice.text, **kind)(function)
    function = click.option("--config", metavar="FILE", help="Start from a configuration, such as a run's run.toml.")(
        function
    )
    return click.option("--recipe", metavar="NAME|FILE", help="Start from a recipe; see `lenskit list recipes`.")(
        function
    )


def resolved(assignments: tuple[str, ...], **flags: Any) -> Config:
    """Resolve the configuration that flags describe."""
    from lenskit.api import configuration
    from lenskit.layers import split_assignment

    return configuration(**flags, set=dict(map(split_assignment, assignments)))


@click.command("train", short_help="Train an encoder")
@configured
@click.option("--out", metavar="DIR", help="The run directory to make. [default: runs/METHOD-PAIRS]")
@click.option("--resume", metavar="DIR", help="Go on with a run that was stopped or killed.")
@click.option("--overwrite", is_flag=True, help="Replace the run directory if there is one.")
@click.option("--print-config", is_flag=True, help="Print the resolved configuration and stop.")
def command(
    assignments: tuple[str, ...], out: str | None, resume: str | None, overwrite: bool, print_config: bool, **flags: Any
) -> int:
    """Train an encoder: `lenskit train --method simsiam --pairs lens-fixed`.

    What is not said comes from the recipe or the file, and else from defaults; --print-config shows the outcome, and
    `lenskit info NAME` the options of a component. Ctrl-C saves and says how to go on.
    """
    if resume is not None:
        given = {name: value for name, value in flags.items() if value not in (None, ())}
        return _resume(resume, given, any((assignments, out is not None, overwrite, print_config)))
    if print_config:
        click.echo(resolved(assignments, **flags).to_toml(), nl=False)
        return 0
    from lenskit.api import train
    from lenskit.layers import split_assignment

    return _tell(train(**flags, set=dict(map(split_assignment, assignments)), out=out, overwrite=overwrite))


def _resume(path: str, given: dict[str, Any], other: bool) -> int:
    from lenskit.api import resume

    allowed = ("accelerator", "devices", "num_nodes", "strategy")
    if other or set(given) - set(allowed):
        raise UsageError(
            "--resume goes on with a run as it is: it takes no other flag than "
            + ", ".join(f"--{name.replace('_', '-')}" for name in allowed)
        )
    return _tell(resume(path, **given))


def _tell(run: Run) -> int:
    """Return the exit status of a run that ended, and say what comes next."""
    if not run.finished:
        from lenskit.training.processes import is_first

        # The first of several processes speaks for all: launchers kill those that still save when another one fails.
        return 128 + (run.stopped_by or signal.SIGINT) if is_first() else 0
    said = [f"the encoder is in {run.path / 'encoder'}", *_next_command(run)]
    logging.getLogger("lenskit").info("%s", "; next: ".join(said))
    return 0


def _next_command(run: Run) -> list[str]:
    """Return the command that judges a run first, if its method names one."""
    from lenskit.data.readers import text_of
    from lenskit.registry import registry

    evaluation = registry().find("method", run.config.name("method")).load().judged_by
    data = run.config.sections.get("data")
    if not evaluation:
        return []
    return [shlex.join(["lenskit", evaluation, str(run.path), *(["--data", text_of(data)] if data else [])])]
