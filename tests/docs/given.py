"""Small images, runs and tables that the code blocks of the documentation find."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from threading import Lock

import numpy as np

SMALL = Path(__file__).with_name("small.py")
PIXEL_SCALE = 0.05
PIXELS = 121


def lenskit(folder: Path, *arguments: str) -> None:
    """Run `lenskit` at a small size in a folder."""
    done = subprocess.run([sys.executable, SMALL, *arguments], cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"lenskit {' '.join(arguments)}\n{done.stdout}{done.stderr}")


def cutouts(folder: Path, lenses: int) -> dict[str, float]:
    """Write simulated HST cutouts as FITS files, and return theta_E in arcsec by name.

    The images have `PIXELS` x `PIXELS` pixels of `PIXEL_SCALE` arcsec.
    """
    from astropy.io import fits

    from lenskit.config import Config
    from lenskit.data.simulated import SimulatedLenses
    from lenskit.layers import read_recipe

    folder.mkdir()
    wide = {"simulator": {"pixels": PIXELS}}
    simulator = Config.resolve(read_recipe("hst-lens"), wide, only=("simulator",)).build("simulator")
    drawn = SimulatedLenses(simulator, seed=0, split="test", index=lenses).read(range(lenses))
    names = [f"lens{number:02d}" for number in range(lenses)]
    degrees = PIXEL_SCALE / 3600
    for name, image in zip(names, drawn.images.numpy(), strict=True):
        header = fits.Header({"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CD1_1": -degrees, "CD2_2": degrees})
        fits.writeto(folder / f"{name}.fits", image.squeeze().astype(np.float32), header)
    return dict(zip(names, drawn.values["theta_E"].tolist(), strict=True))


def images(path: Path) -> None:
    cutouts(path, 8)


def labelled(path: Path) -> None:
    radii = cutouts(path, 24)
    table = "\n".join(f"{name},{radius:.4f}" for name, radius in radii.items())
    (path / "labels.csv").write_text(f"name,theta_E\n{table}\n")


def image(path: Path) -> None:
    cutouts(path.with_name("one"), 1)
    (path.with_name("one") / "lens00.fits").rename(path)
    path.with_name("one").rmdir()


def array(path: Path) -> None:
    np.save(path, np.random.default_rng(0).normal(size=(110, 110)).astype(np.float32))


def run(path: Path) -> None:
    lenskit(path.parent, "train", "--recipe", "quickstart", "--out", str(path))


def detector(path: Path) -> None:
    lenskit(path.parent, "train", "--recipe", "deeplense-a-aae", "--out", str(path))


def pairs(path: Path) -> None:
    lenskit(path.parent, "simulate", "--out", str(path))


def features(path: Path) -> None:
    """Write features of a random encoder, with two parameters and a class."""
    draws = np.random.default_rng(0)
    table = {"theta_E": draws.uniform(0.8, 1.8, 96), "gamma": draws.uniform(1.8, 2.2, 96)}
    np.savez(path, features=draws.normal(size=(96, 16)).astype(np.float32), **table)


def scores(path: Path) -> None:
    draws = np.random.default_rng(0)
    rows = [f"{draws.normal(cls != 'none'):.4f},{cls}" for cls in ("none", "spherical", "vortex") for _ in range(40)]
    path.write_text("\n".join(["score,class", *rows]) + "\n")


def table(path: Path) -> None:
    """Write a table of lenses for `lenskit render`."""
    path.write_text("name,substructure,theta_E\nsmooth,none,1.2\nclumpy,spherical,1.1\ndrawn,,\n")


CONTENTS: dict[str, Callable[[Path], None]] = {
    maker.__name__: maker for maker in (images, labelled, image, array, run, detector, pairs, features, scores, table)
}
"""What makes each content, by the name that a page uses."""


class Given:
    """Contents that are made once and copied to the folders of pages.

    Args:
        store: Folder of the contents.
    """

    def __init__(self, store: Path) -> None:
        self.store, self.lock = store, Lock()
        store.mkdir()

    def put(self, content: str, path: Path) -> None:
        """Copy a content to a path that does not exist."""
        made = self.store / f"{content}{path.suffix}"
        with self.lock:
            if not made.exists():
                CONTENTS[content](made)
        path.parent.mkdir(exist_ok=True, parents=True)
        shutil.copytree(made, path) if made.is_dir() else shutil.copyfile(made, path)
