"""Options of a run that have their own flag in `lenskit train`.

Each of them is also an argument of `lenskit.train`.
"""

from __future__ import annotations

from dataclasses import dataclass

from lenskit.component import in_words


@dataclass(frozen=True)
class Choice:
    """Option of a run with its own flag.

    Attributes:
        section: Section of the configuration.
        option: Name of the option in the section.
        kind: Type of the value: `str`, `int`, `float` or `bool`; `tuple` for several texts.
        text: Help text.
    """

    section: str
    option: str
    kind: type
    text: str


def _component(name: str) -> Choice:
    return Choice(name, "name", str, f"{in_words(name).capitalize()} to use; see `lenskit list`.")


CHOICES: dict[str, Choice] = {
    **{name: _component(name) for name in ("simulator", "pairs", "method", "backbone")},
    "lenses": Choice("train", "lenses", int, "Lenses per epoch."),
    "epochs": Choice("train", "epochs", int, "Number of epochs."),
    "batch_size": Choice("train", "batch_size", int, "Lenses per batch, over all processes."),
    "seed": Choice("train", "seed", int, "Random seed of the run."),
    "precision": Choice("train", "precision", str, "Precision: 32-true, bf16-mixed, 16-mixed or 64-true."),
    "accelerator": Choice("train", "accelerator", str, "Accelerator: cpu, gpu or auto."),
    "devices": Choice("train", "devices", str, "Devices per node."),
    "num_nodes": Choice("train", "num_nodes", int, "Number of nodes."),
    "strategy": Choice("train", "strategy", str, "Strategy for several devices: auto (ddp), ddp, ..."),
    "logger": Choice("monitor", "loggers", tuple, "Additional logger: tensorboard, wandb or mlflow; repeatable."),
    "stop_on_collapse": Choice(
        "monitor", "stop_on_collapse", bool, "Stop the run if the representation collapses, instead of a warning."
    ),
    "optimizer": Choice("optimizer", "name", str, "Optimizer: sgd, lars or adamw. [default: the method's]"),
    "lr": Choice(
        "optimizer", "lr", float, "Peak learning rate for a batch of 256 lenses, or as the method defines it."
    ),
}
