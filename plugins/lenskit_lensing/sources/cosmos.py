"""Real galaxies as sources: the COSMOS real-galaxy catalogue.

The catalogue (Mandelbaum et al. 2012, https://zenodo.org/records/3242143) is a folder. Its main table,
`real_galaxy_catalog_23.5.fits` or `..._25.2.fits`, has the file and HDU of each galaxy's cutout. Further tables have
fits and selection criteria. Many files contain the cutouts: HST ACS images in F814W with pixels of 0.03 arcsec. HDUs
are counted from 0, as in GalSim (https://galsim-developers.github.io/GalSim/_build/html/real_gal.html).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from lenskit.plugin import UsageError
from lenskit.toolbox import check_hdu
from lenskit_datasets.fits_file import opened
from lenskit_datasets.folders import FITS, look_through
from lenskit_lensing.sources.preparation import Prepared
from lenskit_lensing.sources.stamp_sources import SIZE, SMALLEST, StampSources, stamp_sources
from lenskit_lensing.sources.stamps import isolate

COLUMNS = ("GAL_FILENAME", "GAL_HDU", "NOISE_VARIANCE")
"""Columns that are read, which also distinguish the catalogue from the other tables."""

SELECTION = ("sn_ellip_gauss", "min_mask_dist_pixels", "average_mask_adjacent_pixel_count", "peak_image_pixel_count")

PART = 1000
"""Cutouts per part: the number in a file of the public releases.

In larger files each preceding HDU costs half a millisecond.
"""


def load_cosmos(
    folder: str | Path,
    *,
    min_pixels: int = 50,
    max_noise: float = 0.05,
    good_stamps: bool = False,
    size: int = SIZE,
) -> StampSources:
    """Load galaxies of a COSMOS catalogue, prepared as sources.

    The default cuts are LenSiam's. Cutouts are read file by file and prepared once; the result is stored in
    `lenskit.plugin.cache_folder()`.

    Args:
        folder: The folder of the catalogue, or its table.
        min_pixels: Skip cutouts with fewer pixels on their shorter side.
        max_noise: Skip cutouts whose noise (standard deviation) is not below this fraction of their maximum.
        good_stamps: Also skip cutouts that the table of selection criteria flags (a low signal-to-noise ratio, or a
            mask nearby), as GalSim's COSMOSCatalog does by default.
        size: Side of the prepared images in pixels. Larger galaxies are reduced.

    Returns:
        The galaxies, by file and HDU; `rows` are their rows in the catalogue.

    Raises:
        UsageError: There is no catalogue, more than 1 % of its cutouts are missing, or no galaxy is left.
    """
    if min(min_pixels, size) < SMALLEST:
        raise UsageError(f"min_pixels={min_pixels}, size={size}: both must be at least {SMALLEST}")
    catalogue = _find(Path(folder))
    rows = _table(catalogue, COLUMNS)
    names = np.char.strip(rows["GAL_FILENAME"].astype(str))
    files = [catalogue.parent / name for name in dict.fromkeys(names.tolist())]
    absent = [path.name for path in files if not path.is_file()]
    if absent:
        raise UsageError(
            f"{catalogue}: {np.isin(names, absent).sum()} of its {len(names)} galaxies are in files that are not in "
            f"its folder, such as {absent[0]}; unpack the complete folder"
        )
    wanted = _good(catalogue, len(names)) if good_stamps else np.ones(len(names), dtype=bool)
    hdus, variance = np.asarray(rows["GAL_HDU"], dtype=np.int64), np.asarray(rows["NOISE_VARIANCE"], dtype=np.float64)
    cuts = Cuts(min_pixels, max_noise, size)
    parts = [
        CutoutsOfAFile(path, some, hdus[some], np.sqrt(variance[some]), cuts)
        for path in files
        for some in _split(np.flatnonzero((names == path.name) & wanted), hdus)
    ]
    reasons = dict.fromkeys(cuts.reasons, 0)
    if good_stamps:
        reasons["with a suspect stamp"] = int((~wanted).sum())
    return stamp_sources(
        str(catalogue),
        parts,
        files=[catalogue, *files],
        cuts={"min_pixels": min_pixels, "max_noise": max_noise, "good_stamps": good_stamps},
        size=size,
        reasons=reasons,
    )


def _split(rows: NDArray[np.intp], hdus: NDArray[np.int64]) -> Iterator[NDArray[np.intp]]:
    """Yield the rows of one file in parts, in the order of their HDUs."""
    ordered = rows[np.argsort(hdus[rows], kind="stable")]
    return (ordered[start : start + PART] for start in range(0, len(ordered), PART))


@dataclass(frozen=True)
class Cuts:
    """Selection of cutouts, and the size of the prepared images."""

    min_pixels: int
    max_noise: float
    size: int

    @property
    def small(self) -> str:
        return f"smaller than {self.min_pixels} pixels"

    @property
    def noisy(self) -> str:
        return f"with noise of {self.max_noise:g} of the maximum or more"

    broken = "with NaN pixels"
    empty = "with no galaxy in the middle"

    @property
    def reasons(self) -> tuple[str, ...]:
        return self.small, self.noisy, self.broken, self.empty


@dataclass(frozen=True)
class CutoutsOfAFile:
    """Cutouts of one file, for `preparation.each_prepared`.

    Args:
        path: The file.
        rows: (k,) row of each cutout in the catalogue.
        hdus: (k,) HDU of each cutout.
        noise: (k,) standard deviation of the noise of each cutout.
        cuts: Cuts on the cutouts.
    """

    path: Path
    rows: NDArray[np.intp]
    hdus: NDArray[np.int64]
    noise: NDArray[np.float64]
    cuts: Cuts

    def __len__(self) -> int:
        return len(self.rows)

    def __call__(self) -> Prepared:
        result = Prepared(self.cuts.size)
        with opened(self.path, memmap=False) as hdus:
            for row, number, noise in zip(self.rows.tolist(), self.hdus.tolist(), self.noise.tolist(), strict=True):
                self._prepare(hdus, row, number, noise, result)
        return result

    def _prepare(self, hdus: fits.HDUList, row: int, number: int, noise: float, result: Prepared) -> None:
        try:
            hdu = hdus[number]
            if len(hdu.shape) == 2 and min(hdu.shape) < self.cuts.min_pixels:  # from the header, without reading pixels
                result.left_out[self.cuts.small] += 1
                return
            check_hdu(self.path, hdu)
            stamp = np.asarray(hdu.data, dtype=np.float64)
            del hdu.data
        except (IndexError, AttributeError, TypeError, ValueError, OSError):
            stamp = np.empty(0)
        if stamp.ndim != 2:
            result.missing.append(f"row {row} names HDU {number} of {self.path.name}, which has no image")
        elif not np.isfinite(stamp).all():
            result.left_out[self.cuts.broken] += 1
        elif not noise < self.cuts.max_noise * stamp.max():
            result.left_out[self.cuts.noisy] += 1
        elif (galaxy := isolate(stamp)) is None:
            result.left_out[self.cuts.empty] += 1
        else:
            result.add(row, galaxy)


def _find(folder: Path) -> Path:
    """Return the path of the catalogue's table."""
    there = look_through(folder, depth=0).ending(FITS) if folder.is_dir() else []
    near = [path for path in there if "catalog" in path.name.lower()]
    tables = [path for path in ([folder] if folder.is_file() else near) if _is_catalogue(path)]
    if not tables:
        raise UsageError(
            f"{folder}: no COSMOS catalogue here; use a folder with a table real_galaxy_catalog_....fits that has"
            f" the columns {', '.join(COLUMNS)}"
        )
    if len(tables) > 1:
        names = ", ".join(path.name for path in tables)
        raise UsageError(f"{folder}: several catalogues here ({names}); use the path of one of them")
    return tables[0]


def _table(path: Path, columns: Sequence[str]) -> dict[str, NDArray[Any]]:
    """Return the columns that exist in the table of a file, by name.

    Raises:
        LenskitError: The file cannot be read.
    """
    with opened(path) as hdus:
        check_hdu(path, hdus[1])
        return {name: np.array(hdus[1].data[name]) for name in columns if name in hdus[1].columns.names}


def _is_catalogue(path: Path) -> bool:
    with opened(path) as hdus:
        table = hdus[1] if len(hdus) > 1 else None
        return isinstance(table, fits.BinTableHDU) and set(COLUMNS) <= set(table.columns.names)


def _good(catalogue: Path, count: int) -> NDArray[np.bool_]:
    """Return which cutouts pass the selection criteria of GREAT3, (count,).

    The criteria are in Mandelbaum et al. 2014, section 4.1. The limits depend on the brightness of the sample; they are
    those of GalSim's COSMOSCatalog.
    """
    path = catalogue.with_name(f"{catalogue.stem}_selection.fits")
    if not path.is_file():
        raise UsageError(f"{path}: no such file; good_stamps needs this table of the catalogue")
    table = _table(path, SELECTION)
    if any(len(table.get(name, ())) != count for name in SELECTION):
        names = ", ".join(SELECTION)
        raise UsageError(f"{path}: it must have {count} rows of {names}, like the catalogue; use the release's file")
    least_signal, most_masked = (20.0, 0.2) if "23.5" in catalogue.name else (12.0, 0.8)
    signal, distance, masked, peak = (np.asarray(table[name], dtype=np.float64) for name in SELECTION)
    return (signal >= least_signal) & ((distance > 11) | (masked < most_masked * np.maximum(peak, 1e-5)))
