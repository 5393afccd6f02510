"""Trained runs on blobs; blobs with a bright row or column are anomalies."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lenskit.config import Config
from lenskit.run import Run
from lenskit.training.runner import train

Train = Callable[..., Run]


@pytest.fixture(scope="session")
def train_toy(tmp_path_factory: pytest.TempPathFactory) -> Train:
    """Return a function that trains a run of a method for two batches.

    Tests must not change the run.
    """

    def made(name: str, **sections: Any) -> Run:
        config = {
            "train": {"lenses": 64, "epochs": 1, "batch_size": 32},
            "simulator": {"name": "marked"},
            "method": {"name": name},
            "backbone": {"name": "tiny"},
        }
        config |= sections
        if "data" in sections:
            del config["simulator"]
        return train(Config.resolve(config), tmp_path_factory.mktemp("runs") / name, progress=False)

    return made


@pytest.fixture(scope="session")
def linear(train_toy: Train) -> Run:
    """Return a run with reconstructions, trained on normal blobs."""
    return train_toy("linear")


@pytest.fixture(scope="session")
def restless(train_toy: Train) -> Run:
    """Return a siamese run, trained on normal blobs."""
    return train_toy("restless")


@pytest.fixture(scope="session")
def stored_marks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with ten arrays of each class of blobs, in subfolders."""
    import numpy as np
    import torch

    from lenskit.chosen import build

    folder = tmp_path_factory.mktemp("marks")
    for mark in ("none", "row", "column"):
        simulator = build("simulator", "marked", {"marks": (mark,)})
        images = simulator.render(simulator.scene(5, "files", torch.arange(10)))
        (folder / mark).mkdir()
        for number, image in enumerate(images.numpy()):
            np.save(folder / mark / f"{number}.npy", image)
    return folder
