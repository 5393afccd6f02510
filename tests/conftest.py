"""What all tests share."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis.configuration import set_hypothesis_home_dir

if TYPE_CHECKING:
    from lenskit.run import Run

ROOT = Path(__file__).resolve().parent.parent
TOYS = ROOT / "tests" / "toys"

# The toys are a distribution of a third party, found through its entry point, here and in processes that tests start.
sys.path.insert(0, str(TOYS))
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(TOYS), os.environ.get("PYTHONPATH")]))

# Where hypothesis keeps what it found, for a run that shall leave no caches in the tree; .hypothesis if it is not set.
set_hypothesis_home_dir(os.environ.get("HYPOTHESIS_STORAGE_DIRECTORY"))
# A busy machine is slow, and no fault.
settings.register_profile("lenskit", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("lenskit")


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of real galaxies, PSFs and lenses (`LENSKIT_TEST_DATA`, default ../shared/data beside the checkout)."""
    folder = Path(os.environ.get("LENSKIT_TEST_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder}: set LENSKIT_TEST_DATA")
    return folder


@pytest.fixture(autouse=True, scope="session")
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Nothing is left in the user's cache, or taken from it."""
    os.environ["LENSKIT_CACHE"] = str(tmp_path_factory.mktemp("cache"))


Galaxies = Callable[..., Path]
"""Draws galaxies: see `draw_galaxies`."""


@pytest.fixture(scope="session")
def draw_galaxies() -> Galaxies:
    """Writes FITS images of galaxies with noise: `draw_galaxies(folder, 5, q=(0.6, 0.9))`.

    Sersic profiles of index 2 and 8 pixels with a core, of axis ratios evenly between two, at any angle, and within a
    pixel of the middle. The noise is .002 of the brightest pixel, which is about `unit`.
    """

    def draw(
        folder: Path, count: int = 12, *, size: int = 48, q: tuple[float, float] = (0.55, 0.95), unit: float = 1.0
    ) -> Path:
        from astropy.io import fits

        rng = np.random.default_rng(0)
        folder.mkdir(parents=True, exist_ok=True)
        axis = np.arange(size) - (size - 1) / 2
        for number, axis_ratio in enumerate(np.linspace(*q, count)):
            angle, dx, dy = rng.uniform(0, np.pi), *rng.uniform(-1, 1, 2)
            u = (axis - dx) * np.cos(angle) + (axis[:, None] - dy) * np.sin(angle)
            v = (axis[:, None] - dy) * np.cos(angle) - (axis - dx) * np.sin(angle)
            radius = np.sqrt(axis_ratio * u**2 + v**2 / axis_ratio + 1.5**2) / 8
            image = np.exp(3.67 * ((1.5 / 8) ** 0.5 - radius**0.5)) + 0.002 * rng.standard_normal((size, size))
            header = fits.Header({"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CUNIT1": "deg", "CUNIT2": "deg"})
            header["CDELT1"], header["CDELT2"] = -0.05 / 3600, 0.05 / 3600
            fits.PrimaryHDU((unit * image).astype(np.float32), header).writeto(folder / f"g{number:03d}.fits")
        return folder

    return draw


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """One thread: sums of floating-point numbers depend on their number, and small networks gain nothing from two."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True)
def in_tmp_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests run in a folder of their own, so that nothing is left behind in the tree."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on the toys' blobs. Tests use copies of it."""
    from lenskit.config import Config
    from lenskit.training.runner import train

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

    from lenskit.run import Run

    shutil.copytree(trained, tmp_path / "blobs")
    return Run(tmp_path / "blobs")


@pytest.fixture
def images(tmp_path: Path, run: Run) -> Path:
    """A folder of simulated blobs as FITS files, two pixels larger than the encoder takes, with their widths."""
    import torch
    from astropy.io import fits

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
