"""`lenskit train`."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from lenskit.errors import UsageError

COMPONENTS = ("simulator", "pairs", "method", "backbone")
SETTINGS = {
    "lenses": (int, "Lenses an epoch."),
    "epochs": (int, "Epochs of the run."),
    "batch_size": (int, "Lenses a batch, over all processes."),
    "seed": (int, "Seed of everything that is drawn."),
    "precision": (str, "32-true, bf16-mixed, 16-mixed or 64-true."),
    "accelerator": (str, "cpu, gpu or auto."),
    "devices": (str, "Devices a node."),
    "num_nodes": (int, "Nodes."),
}


def _flags(function: Callable[..., Any]) -> Callable[..., Any]:
    for name, (kind, text) in reversed(SETTINGS.items()):
        function = click.option(f"--{name.replace('_', '-')}", name, type=kind, help=text)(function)
    for name in reversed(COMPONENTS):
        function = click.option(f"--{name}", help=f"Which {name} to use; see `lenskit list`.")(function)
    return function


@click.command("train", short_help="Train an encoder")
@click.option("--recipe", metavar="NAME|FILE", help="Start from a recipe; see `lenskit list recipes`.")
@click.option("--config", metavar="FILE", help="Start from a configuration, such as a run's run.toml.")
@_flags
@click.option("--data", metavar="[READER:]PATH", help="Train on stored images instead of live simulations.")
@click.option("--optimizer", help="sgd, lars or adamw. [default: the method's]")
@click.option("--lr", type=float, help="Peak learning rate for a batch of 256, or as the method has it.")
@click.option("--set", "assignments", multiple=True, metavar="SECTION.OPTION=VALUE", help="Set any option.")
@click.option("--out", metavar="DIR", help="The run directory to make. [default: runs/METHOD-PAIRS]")
@click.option("--resume", metavar="DIR", help="Go on with a run that was stopped or killed.")
@click.option("--overwrite", is_flag=True, help="Replace the run directory if there is one.")
@click.option("--print-config", is_flag=True, help="Print the resolved configuration and stop.")
def command(
    recipe: str | None,
    config: str | None,
    data: str | None,
    optimizer: str | None,
    lr: float | None,
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
    from lenskit.config import Config, read_layers

    given = {name: value for name, value in flags.items() if value is not None}
    if resume:
        return _resume(
            resume, given, any((recipe, config, data, optimizer, lr, assignments, out, overwrite, print_config))
        )
    own: list[Any] = [{name: {"name": given[name]}} for name in COMPONENTS if name in given]
    own.append({"train": {name: given[name] for name in SETTINGS if name in given}})
    if data:
        if "simulator" in given:
            raise UsageError("--data and --simulator exclude each other: images are stored or simulated")
        from lenskit.data.readers import find_reader

        reader, path = find_reader(data)
        own.append({"data": {"name": reader, "path": str(path.resolve())}})
    if optimizer:
        own.append({"optimizer": {"name": optimizer}})
    if lr is not None:
        own.append({"optimizer": {"lr": lr}})
    resolved = Config.resolve(*read_layers(recipe, config, own, assignments))
    if print_config:
        click.echo(resolved.to_toml(), nl=False)
        return 0

    from lenskit.training.runner import train

    folder = Path(out) if out else _free(Path("runs") / f"{resolved.name('method')}-{resolved.name('pairs')}")
    return _tell(train(resolved, folder, overwrite=overwrite))


def _resume(path: str, given: dict[str, Any], other: bool) -> int:
    from lenskit.training.resume import resume

    allowed = ("accelerator", "devices", "num_nodes")
    if other or set(given) - set(allowed):
        raise UsageError(
            "--resume goes on with a run as it is: it takes no other flag than "
            + ", ".join(f"--{name.replace('_', '-')}" for name in allowed)
        )
    return _tell(resume(Path(path), **given))


def _tell(run: Any) -> int:
    if not run.finished:
        return 130
    logging.getLogger("lenskit").info("the encoder is in %s; next: lenskit probe %s", run.path / "encoder", run.path)
    return 0


def _free(path: Path) -> Path:
    """The path, or the first of path-2, path-3, ... that is not taken."""
    candidate, number = path, 1
    while candidate.exists():
        number += 1
        candidate = path.with_name(f"{path.name}-{number}")
    return candidate
