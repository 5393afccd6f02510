"""Short training, for components that take a run."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
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
    """Return a new copy of a run of one batch, which is trained once in a process.

    Args:
        path: Run directory to create.
        sections: Configuration of the run.
    """
    shutil.copytree(_trained(json.dumps({name: dict(section) for name, section in sections.items()})).name, path)
    return Run(path)


@cache
def _trained(sections: str) -> TemporaryDirectory[str]:
    """Train a run in a folder that is removed when the process ends."""
    folder = TemporaryDirectory(prefix="lenskit-contract-")
    train(Config.resolve(json.loads(sections)), Path(folder.name), progress=False, overwrite=True)
    return folder
