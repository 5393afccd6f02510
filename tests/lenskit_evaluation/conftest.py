"""A small run to evaluate."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from lenskit.config import Config
from lenskit.run import Run
from lenskit.training.runner import train


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on the toys' blobs, of which tests use copies."""
    config = Config.resolve(
        {
            "train": {"lenses": 64, "epochs": 1, "batch_size": 32},
            "simulator": {"name": "blobs"},
            "method": {"name": "restless"},
            "backbone": {"name": "tiny"},
        }
    )
    return train(config, tmp_path_factory.mktemp("runs") / "blobs", progress=False).path


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Run:
    """A fresh copy of the run."""
    import shutil

    shutil.copytree(trained, tmp_path / "blobs")
    return Run(tmp_path / "blobs")


@pytest.fixture
def images(tmp_path: Path, run: Run) -> Path:
    """A folder of simulated blobs as FITS files, two pixels larger than the encoder takes, with their widths."""
    import torch

    folder = tmp_path / "images"
    folder.mkdir()
    simulator = run.simulator(pixels=18)
    scene = simulator.scene(7, "files", torch.arange(12))
    lines = ["name,width"]
    for number, image in enumerate(simulator.render(scene).numpy()):
        fits.writeto(folder / f"blob{number:02}.fits", image[0].astype(np.float32))
        lines.append(f"blob{number:02},{float(scene['width'][number])}")
    (folder / "labels.csv").write_text("\n".join(lines) + "\n")
    return folder
