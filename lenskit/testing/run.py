"""Short training, for components that take a run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lenskit.config import Config
from lenskit.run import Run
from lenskit.training.runner import train

SECTIONS: Mapping[str, Mapping[str, Any]] = {
    "train": {"lenses": 8, "epochs": 1, "batch_size": 8, "accelerator": "cpu"},
    "monitor": {"probe_every": 0},
    "simulator": {"pixels": 32},
}
"""Configuration of a run of one batch, with the components of the recipe `default`."""


def short_run(path: Path, sections: Mapping[str, Mapping[str, Any]] = SECTIONS) -> Run:
    """Train a run of one batch.

    Args:
        path: Run directory to create.
        sections: Configuration of the run.
    """
    config = Config.resolve({name: dict(section) for name, section in sections.items()})
    return train(config, path, progress=False)
