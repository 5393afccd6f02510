"""Reader of a release of the survey: FITS cutouts and a catalogue."""

from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch

from lenskit.plugin import Dataset, LenskitError, Parameter, UsageError
from lenskit.toolbox import check_hdu, open_fits, read_delimited, read_numbers, reason

CATALOGUE = "catalogue.csv"
COLUMNS = ("OBJ_ID", "R_EIN", "QFLAG")
"""Identifier, Einstein radius in arcsec (empty if unknown), and quality flag (0 is good)."""


class Survey(Dataset):
    """Folder of a release: `catalogue.csv` and the images `cutouts/OBJ_ID.fits`.

    A file has the image in its first HDU, the size of a pixel in arcsec in the key `PIXSCALE`, and optionally an HDU
    `MASK` of the same size, in which bad pixels are not 0. Undefined pixels are also NaN.

    Args:
        size: Height and width in pixels of the central part to use. By default those of the smallest cutout.
        flagged: Whether to also read lenses with a quality flag.
    """

    accepts = f"a folder with {CATALOGUE} and cutouts/OBJ_ID.fits"
    parameters = (Parameter("theta_E", "arcsec", r"$\theta_E$", headline=True),)

    def __init__(self, path, *, size: int | None = None, flagged: bool = False) -> None:
        path = Path(path)
        if not self.recognises(path):
            raise UsageError(f"{path} is not {self.accepts}")
        self.names, self.theta_E = _catalogue(path / CATALOGUE, flagged)
        self.files = [path / "cutouts" / f"{name}.fits" for name in self.names]
        shapes, scales = zip(*map(_header, self.files), strict=True)
        if max(scales) > 1.02 * min(scales):
            raise UsageError(f"{path} has pixels of {min(scales):.4g} to {max(scales):.4g} arcsec: use one pixel scale")
        smallest = min(map(min, shapes))
        if size is not None and not 0 < size <= smallest:
            raise UsageError(f"size={size}: choose 1 to {smallest}, the size of the smallest cutout in {path}")
        self.pixel_scale = float(np.median(scales))
        self.image_shape = (1, size or smallest, size or smallest)

    @classmethod
    def recognises(cls, path):
        return (path / CATALOGUE).is_file() and (path / "cutouts").is_dir()

    def read(self, index):
        images = np.stack([self._cutout(self.files[i]) for i in index])
        return torch.from_numpy(images)[:, None, None], self.read_parameters(index)

    def read_parameters(self, index):  # without opening images
        return {"theta_E": torch.from_numpy(self.theta_E[list(index)])}

    def _cutout(self, file):
        """Return the centre of an image; lenskit fills the NaN pixels."""
        with _opened(file) as hdus:
            image = np.array(hdus[0].data, np.float32)
            if "MASK" in hdus:
                image[hdus["MASK"].data != 0] = np.nan
        size = self.image_shape[-1]
        top, left = ((length - size) // 2 for length in image.shape)
        return image[top : top + size, left : left + size]


@contextmanager
def _opened(file):
    """Open a FITS file with an image; the error of a missing or damaged file names it."""
    try:
        with open_fits(file) as hdus:
            check_hdu(file, hdus[0])
            if len(hdus[0].shape) != 2:
                raise LenskitError(f"{file} has no image (height, width) in its first HDU")
            yield hdus
    except LenskitError:
        raise
    except (OSError, ValueError, TypeError, LookupError) as error:  # astropy raises all of these
        raise LenskitError(f"{file} cannot be read: {reason(error)}") from error


def _header(file):
    """Return the shape of an image, and the size of a pixel in arcsec."""
    with _opened(file) as hdus:
        return hdus[0].shape, float(hdus[0].header["PIXSCALE"])


def _catalogue(file, flagged):
    """Return the names and the Einstein radii of the lenses to read."""
    table = read_delimited(file)
    if lacking := [column for column in COLUMNS if column not in table.header]:
        raise UsageError(f"{file} lacks the columns {', '.join(lacking)}")
    rows = [[row[table.header.index(column)] for column in COLUMNS] for row in table.rows]
    rows = [(name, radius) for name, radius, flag in rows if flagged or flag == "0"]
    if not rows:
        raise UsageError(f"{file} has no lens with a quality flag of 0: use flagged=true")
    names, radii = zip(*rows, strict=True)
    if len(set(names)) < len(names):
        raise UsageError(f"{file} has two rows with the same OBJ_ID")
    try:
        return names, read_numbers(radii).astype(np.float32)
    except ValueError as error:
        raise UsageError(f"{file}, column R_EIN: {error}") from error
