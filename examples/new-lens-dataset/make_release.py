"""Write a mock release of the survey with lenskit's simulator.

    python make_release.py [FOLDER] [LENSES]

A real release replaces it: the other commands do not change.
"""

import csv
import sys
from pathlib import Path

import numpy as np
from astropy.io import fits

import lenskit

PIXEL_SCALE = 0.05
SIZES = (91, 101, 111)
SCENES = {
    "pixels": max(SIZES),
    "theta_E": "uniform(0.7, 1.6)",
    "log_light_to_arc": "uniform(-1, 0.5)",
    "light_radius_unit": "arcsec",
    "light_radius": "uniform(0.65, 3.4)",
}


def main(folder="release-1", lenses=400):
    """Write `lenses` cutouts and the catalogue to a folder."""
    cutouts = Path(folder) / "cutouts"
    cutouts.mkdir(parents=True)
    rng = np.random.default_rng(1)
    names = [f"LENS{number:05}" for number in range(lenses)]
    images, truth = lenskit.render({"name": names}, "hst", set=SCENES, seed=1)
    rows = []
    for name, image, theta_E in zip(names, images[:, 0], truth["theta_E"], strict=True):
        flag = int(rng.random() < 0.05)
        measured = rng.random() < 0.75
        write_cutout(cutouts / f"{name}.fits", image, rng, saturated=flag)
        rows.append((name, f"{theta_E:.3f}" if measured else "", flag))
    with open(Path(folder) / "catalogue.csv", "w", newline="") as file:
        csv.writer(file).writerows([("OBJ_ID", "R_EIN", "QFLAG"), *rows])


def write_cutout(file, image, rng, saturated):
    """Write the centre of an image with a bad column, and in half of the files a mask."""
    margin = (len(image) - rng.choice(SIZES)) // 2
    image = 100 * image[margin : len(image) - margin, margin : len(image) - margin]
    image[:, rng.integers(len(image))] = np.nan
    if saturated:
        image[rng.integers(len(image) - 10) :, :] = 100
    hdus = [fits.PrimaryHDU(image, fits.Header({"PIXSCALE": PIXEL_SCALE, "BUNIT": "counts"}))]
    if rng.random() < 0.5:
        row, column = rng.integers(0, len(image) - 4, 2)
        mask = np.zeros(image.shape, np.uint8)
        mask[row : row + 4, column : column + 4] = 1
        image[mask == 1] = 1000  # a cosmic ray
        hdus.append(fits.ImageHDU(mask, name="MASK"))
    fits.HDUList(hdus).writeto(file)


if __name__ == "__main__":
    main(*sys.argv[1:2], *map(int, sys.argv[2:3]))
