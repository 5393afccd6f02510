"""`lenskit train`."""

from __future__ import annotations

import logging
import signal
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lenskit.choices import CHOICES, resolve, usual_folder
from lenskit.errors import UsageError

if TYPE_CHECKING:
    from lenskit.config import Config

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


def resolved(
    recipe: str | None, config: str | None, data: str | None, assignments: tuple[str, ...], **flags: Any
) -> Config:
    """The configuration that those flags come to."""
    from lenskit.config import read_assignment

    given = {name: value for name, value in flags.items() if value not in (None, ())}
    return resolve(recipe, config, map(read_assignment, assignments), data, **given)


@click.command("train", short_help="Train an encoder")
@configured
@click.option("--out", metavar="DIR", help="The run directory to make. [default: runs/METHOD-PAIRS]")
@click.option("--resume", metavar="DIR", help="Go on with a run that was stopped or killed.")
@click.option("--overwrite", is_flag=True, help="Replace the run directory if there is one.")
@click.option("--print-config", is_flag=True, help="Print the resolved configuration and stop.")
def command(
    recipe: str | None,
    config: str | None,
    data: str | None,
    assignments: tuple[str, ...],
    out: str | None,
    resume: str | None,
    overwrite: bool,
    print_config: bool,
    **flags: Any,
) -> int:
    """Train an encoder: `lenskit train --method simsiam --pairs lens-fixed`.

    What is not said comes from the recipe or the file, and else from defaults; --print-config shows the outcome, and
    `lenskit info NAME` the options of a component. Ctrl-C saves and says how to go on.
    """
    if resume:
        given = {name: value for name, value in flags.items() if value not in (None, ())}
        other = (recipe, config, data, assignments, out is not None, overwrite, print_config)
        return _resume(resume, given, any(other))
    if out == "":
        raise UsageError("--out takes the run directory to make, got nothing")
    asked = resolved(recipe, config, data, assignments, **flags)
    if print_config:
        click.echo(asked.to_toml(), nl=False)
        return 0

    from lenskit.training.runner import train

    return _tell(train(asked, usual_folder(asked) if out is None else Path(out), overwrite=overwrite, recipe=recipe))


def _resume(path: str, given: dict[str, Any], other: bool) -> int:
    from lenskit.training.resume import resume

    allowed = ("accelerator", "devices", "num_nodes", "strategy")
    if other or set(given) - set(allowed):
        raise UsageError(
            "--resume goes on with a run as it is: it takes no other flag than "
            + ", ".join(f"--{name.replace('_', '-')}" for name in allowed)
        )
    return _tell(resume(Path(path), **given))


def _tell(run: Any) -> int:
    if not run.finished:
        from lenskit.training.processes import is_first

        # The first of several processes speaks for all: launchers kill those that still save when another one fails.
        return 128 + (run.stopped_by or signal.SIGINT) if is_first() else 0
    logging.getLogger("lenskit").info("the encoder is in %s; next: lenskit probe %s", run.path / "encoder", run.path)
    return 0
