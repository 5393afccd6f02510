"""Settings and fixtures of all tests."""

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

# The toys are a third party's distribution. This process and child processes find it through its entry point.
sys.path.insert(0, str(TOYS))
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(TOYS), os.environ.get("PYTHONPATH")]))

# Folder of hypothesis's database, for runs that must not write into the source tree; the default is .hypothesis.
set_hypothesis_home_dir(os.environ.get("HYPOTHESIS_STORAGE_DIRECTORY"))
# No deadline, because a busy machine is slow.
settings.register_profile("lenskit", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("lenskit")


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Return the folder of real galaxies, PSFs and lenses.

    It is `LENSKIT_TEST_DATA`, by default ../shared/data relative to the checkout. Tests are skipped without it.
    """
    folder = Path(os.environ.get("LENSKIT_TEST_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder}: set LENSKIT_TEST_DATA")
    return folder


@pytest.fixture(autouse=True, scope="session")
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Use an empty cache instead of the user's cache."""
    os.environ["LENSKIT_CACHE"] = str(tmp_path_factory.mktemp("cache"))


Galaxies = Callable[..., Path]
"""Function that writes images of galaxies, see `draw_galaxies`."""


@pytest.fixture(scope="session")
def draw_galaxies() -> Galaxies:
    """Return a function that writes FITS images of galaxies with noise.

    An example is `draw_galaxies(folder, 5, q=(0.6, 0.9))`. Galaxies are Sersic profiles with an index of 2, a radius of
    8 pixels and a core. The axis ratios are evenly spaced between both values of `q`, the angles are random, and the
    centres are within a pixel of the middle of the image. The brightest pixel is about `unit`, and the standard
    deviation of the noise is 0.002 `unit`.
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
    """Use one thread, because floating-point sums depend on the number of threads.

    Small networks are not slower with one thread.
    """
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True)
def in_tmp_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Use a temporary working directory, to keep the source tree clean."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the path of a run trained on blobs; tests use copies of it."""
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
    """Return a new copy of the trained run."""
    import shutil

    from lenskit.run import Run

    shutil.copytree(trained, tmp_path / "blobs")
    return Run(tmp_path / "blobs")


@pytest.fixture
def images(tmp_path: Path, run: Run) -> Path:
    """Return a folder of simulated blobs as FITS files, with a table of their widths.

    The images are two pixels larger than the encoder's input.
    """
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
