"""What a user chooses for a run, as flags of `lenskit train` or arguments of `lenskit.train`, with one outcome."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lenskit.errors import UsageError

if TYPE_CHECKING:
    from lenskit.config import Config, Layer


@dataclass(frozen=True)
class Choice:
    """An option that has a flag of its own.

    Attributes:
        section: Its section of the configuration.
        option: Its name there.
        kind: `str`, `int`, `float` or `bool`; `tuple` for several texts.
        text: What it means.
    """

    section: str
    option: str
    kind: type
    text: str


def _component(name: str) -> Choice:
    return Choice(name, "name", str, f"Which {name} to use; see `lenskit list`.")


CHOICES: dict[str, Choice] = {
    **{name: _component(name) for name in ("simulator", "pairs", "method", "backbone")},
    "lenses": Choice("train", "lenses", int, "Lenses an epoch."),
    "epochs": Choice("train", "epochs", int, "Epochs of the run."),
    "batch_size": Choice("train", "batch_size", int, "Lenses a batch, over all processes."),
    "seed": Choice("train", "seed", int, "Seed of everything that is drawn."),
    "precision": Choice("train", "precision", str, "32-true, bf16-mixed, 16-mixed or 64-true."),
    "accelerator": Choice("train", "accelerator", str, "cpu, gpu or auto."),
    "devices": Choice("train", "devices", str, "Devices a node."),
    "num_nodes": Choice("train", "num_nodes", int, "Nodes."),
    "strategy": Choice("train", "strategy", str, "How several devices work together: auto (ddp), ddp, ..."),
    "logger": Choice("monitor", "loggers", tuple, "Where figures go, too: tensorboard, wandb or mlflow; repeatable."),
    "stop_on_collapse": Choice(
        "monitor", "stop_on_collapse", bool, "Stop a run whose representation has collapsed, instead of a warning."
    ),
    "optimizer": Choice("optimizer", "name", str, "sgd, lars or adamw. [default: the method's]"),
    "lr": Choice("optimizer", "lr", float, "Peak learning rate for a batch of 256, or as the method has it."),
}


def resolve(
    recipe: str | None, config: str | None, assignments: Iterable[Layer], data: str | None = None, **choices: Any
) -> Config:
    """The configuration that choices come to, over a file, over a recipe, over defaults.

    Args:
        recipe: Name or path of a recipe.
        config: Path of a configuration.
        assignments: Options by section, over the choices.
        data: `[READER:]PATH` of stored images, with options of the reader behind a `?` if need be.
        choices: Values of `CHOICES`, by name.

    Raises:
        UsageError: for what is unknown, contradicts itself, or has a wrong value.
    """
    from lenskit.config import Config, merge, read_layers
    from lenskit.registry import near

    for name in choices:
        if name not in CHOICES:
            raise UsageError(f"there is no choice {name!r}{near(name, list(CHOICES))}; there are {', '.join(CHOICES)}")
    if data and "simulator" in choices:
        raise UsageError("--data and --simulator exclude each other: images are stored or simulated")
    own: list[Any] = [{CHOICES[name].section: {CHOICES[name].option: value}} for name, value in choices.items()]
    if data:
        from lenskit.data.readers import read_section

        own.append({"data": read_section(data)})
    return Config.resolve(*read_layers(recipe, config, [merge(own), *assignments], ()))


def usual_folder(config: Config) -> Path:
    """Where a run goes if nothing is said: runs/METHOD-PAIRS, or the first of -2, -3, ... that is not taken."""
    path = candidate = Path("runs") / f"{config.name('method')}-{config.name('pairs')}"
    number = 1
    while candidate.exists():
        number += 1
        candidate = path.with_name(f"{path.name}-{number}")
    return candidate
