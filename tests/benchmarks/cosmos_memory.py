"""Memory and time to prepare, load and use a COSMOS catalogue.

The limit is 3 GB for 80,000 galaxies, for the process that prepares them and its worker processes together.

    python tests/benchmarks/cosmos_memory.py --rows 80000       (10,000 by default; a quarter of an hour on two cores)

The catalogue is synthetic, in the layout of the public releases: a table, and files of cutouts for a thousand rows
each. To save disk space, each file has 20 different cutouts, each used by 50 rows; all pass the cuts. Their sizes have
a distribution like real cutouts of at least 50 pixels: up to 190 pixels, half of them above 61.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from astropy.io import fits
from astropy.table import Table

ROWS_A_FILE, CUTOUTS_A_FILE = 1000, 20
SIZES = (50, 51, 52, 54, 55, 57, 58, 60, 61, 62, 64, 66, 70, 74, 80, 86, 94, 104, 120, 190)
NOISE = 0.01
PREPARE = (
    "from lenskit_lensing.sources.cosmos import load_cosmos; print(len(load_cosmos({folder!r}).images), 'galaxies')"
)
ONE_PART = """
from pathlib import Path
import numpy as np
from lenskit_lensing.sources.cosmos import Cuts, CutoutsOfAFile
path = next(Path({folder!r}).glob("*_n1.fits"))
count = np.arange(1000)
part = CutoutsOfAFile(path, count, count % 20, np.full(1000, 0.01), Cuts(50, 0.05, 96))
print(len(part().images), "galaxies of one part")
"""
USE = """
import torch
from lenskit_lensing.simulators.hst import HST
simulator = HST(cosmos={folder!r})
for start in range(0, 1024, 64):
    simulator.render(simulator.scene(0, "benchmark", torch.arange(start, start + 64)))
bits = simulator.sources.stamps.images.view(torch.int16)  # every page is touched, and nothing is copied
print(int(bits.amax(2).count_nonzero()), "rows of pixels with light, in all stamps")
"""
MEASURED = """
import resource, time
begun = time.monotonic()
{work}
print(time.monotonic() - begun, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def write_catalogue(folder: Path, rows: int) -> None:
    """Write a release of synthetic galaxies: exponential discs on a noisy sky."""
    rng = np.random.default_rng(0)
    number = np.arange(rows)
    names = np.char.mod("real_galaxy_images_25.2_n%d.fits", 1 + number // ROWS_A_FILE)
    for name in np.unique(names):
        images = [galaxy(size, rng) for size in SIZES]
        hdus = fits.HDUList([fits.PrimaryHDU(images[0]), *map(fits.ImageHDU, images[1:])])
        hdus.writeto(folder / name)
    table = Table(
        {
            "IDENT": number.astype(np.int32),
            "GAL_FILENAME": names.astype("S64"),
            "GAL_HDU": (number % CUTOUTS_A_FILE).astype(np.int32),
            "PIXEL_SCALE": np.full(rows, 0.03),
            "NOISE_VARIANCE": np.full(rows, NOISE**2),
        }
    )
    table.write(folder / "real_galaxy_catalog_25.2.fits")


def galaxy(size: int, rng: np.random.Generator) -> np.ndarray:
    y, x = np.indices((size, size)) - (size - 1) / 2
    q, angle = rng.uniform(0.3, 1), rng.uniform(0, np.pi)
    along, across = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    disc = np.exp(-np.hypot(along * q**0.5, across / q**0.5) / (size / 14))
    return (disc + rng.normal(0, NOISE, disc.shape)).astype(np.float32)


def measured(work: str, folder: Path, cache: Path) -> tuple[float, float]:
    """Run a program; return its seconds and its peak resident memory in GB."""
    program = MEASURED.format(work=work.format(folder=str(folder)))
    environment = os.environ | {"LENSKIT_CACHE": str(cache), "OMP_NUM_THREADS": "1"}
    output = subprocess.run(
        [sys.executable, "-c", program], env=environment, check=True, capture_output=True, text=True
    )
    said, figures = output.stdout.splitlines()
    print("   ", said)
    seconds, peak = map(float, figures.split())
    return seconds, peak / (1e9 if sys.platform == "darwin" else 1e9 / 1024)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=10_000, help="galaxies in the catalogue")
    parser.add_argument("--folder", help="folder for catalogue and cache, which are removed at the end")
    arguments = parser.parse_args()

    with tempfile.TemporaryDirectory(dir=arguments.folder) as place:
        folder, cache = Path(place, "COSMOS_25.2_training_sample"), Path(place, "cache")
        folder.mkdir()
        start = time.monotonic()
        write_catalogue(folder, arguments.rows)
        print(f"catalogue of {arguments.rows} galaxies, {time.monotonic() - start:.0f} s")
        from lenskit_lensing.sources.preparation import processes_for

        works = {
            f"one of {processes_for(arguments.rows)} helpers": ONE_PART,
            "prepared": PREPARE,
            "loaded again": PREPARE,
            "1,024 lenses rendered": USE,
        }
        for title, work in works.items():
            seconds, peak = measured(work, folder, cache)
            print(f"{title:22s} {seconds:7.1f} s   peak {peak:.2f} GB")
        size = sum(path.stat().st_size for path in cache.glob("*.safetensors"))
        print(f"file of prepared stamps {size / 1e9:.2f} GB")


if __name__ == "__main__":
    main()
