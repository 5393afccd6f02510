"""Options of a run that have a flag of `lenskit train`, and an argument of `lenskit.train`, of their own."""

from __future__ import annotations

from dataclasses import dataclass


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
