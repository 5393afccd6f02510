"""Real galaxies as sources: the COSMOS real-galaxy catalogue.

The catalogue (Mandelbaum et al. 2012, https://zenodo.org/records/3242143) is a folder with a table that names each
galaxy's cutout by file and HDU, `real_galaxy_catalog_23.5.fits` or `..._25.2.fits`, tables of fits and of selection
flags beside it, and many files of cutouts of HST ACS images in F814W, 0.03 arcsec a pixel.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from astropy.io import fits
from numpy.typing import NDArray
from torch import Tensor

from lenskit.plugin import UsageError
from lenskit_lensing.stamps import centred, half_light_radius, isolate

log = logging.getLogger(__name__)

COLUMNS = ("GAL_FILENAME", "GAL_HDU", "NOISE_VARIANCE")
"""What is read of the catalogue, and tells it from the tables beside it."""

SMALLEST = 16
"""Pixels a side below which a cutout has no sky to speak of, or a prepared image no detail."""


@dataclass(frozen=True)
class StampSources:
    """Images of galaxies on an empty sky.

    Args:
        images: (k, size, size) float32: each sums to one, has its galaxy's centroid in the middle, and is zero all
            along its border and nowhere negative.
        half_light: (k,) float32, radius in pixels of `images` of the circle with half of the light.
    """

    images: Tensor
    half_light: Tensor


def load_cosmos(folder: str | Path, *, min_pixels: int = 50, max_noise: float = 0.05, size: int = 128) -> StampSources:
    """Reads and prepares galaxies of a COSMOS real-galaxy catalogue; the default cuts are LenSiam's.

    Args:
        folder: The catalogue's folder, or its table.
        min_pixels: Cutouts with fewer pixels on their shorter side are left out.
        max_noise: Cutouts whose noise (standard deviation) is not below this fraction of their maximum are left out.
        size: Side of the prepared images in pixels. Galaxies that do not fit in are shrunk.

    Returns:
        The galaxies, in the catalogue's order.

    Raises:
        UsageError: There is no catalogue, it is not complete, or nothing of it is left.
    """
    if min(min_pixels, size) < SMALLEST:
        raise UsageError(f"min_pixels={min_pixels}, size={size}: at least {SMALLEST} is right for both")
    catalogue = _find(Path(folder))
    rows = fits.getdata(catalogue, 1)
    noise = np.sqrt(np.asarray(rows["NOISE_VARIANCE"], dtype=np.float64))
    small, noisy = f"smaller than {min_pixels} pixels", f"with noise of {max_noise:g} of the maximum or more"
    broken, empty = "with NaN pixels", "with no galaxy in the middle"
    removed = Counter(dict.fromkeys((small, noisy, broken, empty), 0))
    images: dict[int, NDArray[np.float32]] = {}
    for row, cutout in _cutouts(catalogue, rows):
        if min(cutout.shape) < min_pixels:
            removed[small] += 1
            continue
        stamp = np.asarray(cutout.data, dtype=np.float64)
        if not np.isfinite(stamp).all():
            removed[broken] += 1
        elif not noise[row] < max_noise * stamp.max():
            removed[noisy] += 1
        elif (galaxy := isolate(stamp)) is None:
            removed[empty] += 1
        else:
            images[row] = centred(galaxy, size).astype(np.float32)

    account = ", ".join(f"{count} {reason}" for reason, count in removed.items())
    if not images:
        raise UsageError(f"{catalogue}: none of {len(rows)} galaxies is left ({account}); wider cuts are right")
    log.info("%s: %d of %d galaxies; left out %s", catalogue, len(images), len(rows), account)
    ordered = [images[row] for row in sorted(images)]
    radii = [half_light_radius(image) for image in ordered]
    return StampSources(torch.from_numpy(np.stack(ordered)), torch.tensor(radii, dtype=torch.float32))


def _find(folder: Path) -> Path:
    """The catalogue's table."""
    if folder.is_file():
        return folder
    tables = [path for path in sorted(folder.glob("*catalog*.fits")) if _is_catalogue(path)]
    if not tables:
        raise UsageError(
            f"{folder}: no COSMOS catalogue here; a folder with a table real_galaxy_catalog_....fits that has the"
            f" columns {', '.join(COLUMNS)} is right"
        )
    if len(tables) > 1:
        names = ", ".join(path.name for path in tables)
        raise UsageError(f"{folder}: several catalogues here ({names}); the path of one of them is right")
    return tables[0]


def _is_catalogue(path: Path) -> bool:
    with fits.open(path) as hdus:
        table = hdus[1] if len(hdus) > 1 else None
        return isinstance(table, fits.BinTableHDU) and set(COLUMNS) <= set(table.columns.names)


def _cutouts(catalogue: Path, rows: fits.FITS_rec) -> Iterator[tuple[int, fits.ImageHDU]]:
    """Each row's number and cutout, file by file; pixels are read only if they are asked for, and not kept."""
    names = np.char.strip(np.asarray(rows["GAL_FILENAME"], dtype=str))
    numbers = np.asarray(rows["GAL_HDU"], dtype=np.int64)
    files = np.unique(names)
    absent = [name for name in files if not (catalogue.parent / name).is_file()]
    if absent:
        raise UsageError(
            f"{catalogue}: {np.isin(names, absent).sum()} of its {len(rows)} galaxies are in files that are not beside"
            f" it, such as {absent[0]}; the complete folder is right"
        )
    for name in files:
        inside = np.flatnonzero(names == name)
        with fits.open(catalogue.parent / name) as hdus:
            for row in inside[np.argsort(numbers[inside], kind="stable")]:
                try:
                    cutout = hdus[int(numbers[row])]
                except IndexError:
                    cutout = None
                if not getattr(cutout, "is_image", False) or len(cutout.shape) != 2:
                    raise UsageError(
                        f"{catalogue}: row {row} names HDU {numbers[row]} of {name}, where no image is; the files of"
                        " one release are right"
                    )
                yield int(row), cutout
                del cutout.data
