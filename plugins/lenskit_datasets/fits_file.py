"""Access to FITS files: the HDU of an image, and its pixels."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from lenskit.plugin import LenskitError, UsageError
from lenskit.toolbox import check_hdu, open_bytes, open_fits, quiet_fits, too_many_files, wrong_card

FAULTS = (OSError, EOFError, ValueError, TypeError, KeyError, IndexError, zlib.error, fits.VerifyError)
"""Exceptions that astropy raises for a damaged file."""


@contextmanager
def opened(file: str | Path, **options: Any) -> Iterator[fits.HDUList]:
    """Open a FITS file; convert exceptions to errors that name the file.

    Integers are scaled as signed integers: only then does astropy convert undefined pixels (BLANK) to NaN. `pixels_of`
    reads integers of 64 bits.

    Raises:
        LenskitError: The file cannot be read.
    """
    try:
        with open_fits(file, uint=False, **options) as hdus:
            yield hdus
    except LenskitError:
        raise
    except FAULTS as error:
        raise unreadable(file, error) from error


def unreadable(file: str | Path, error: BaseException) -> LenskitError:
    """Return the error for a FITS file that cannot be read."""
    if isinstance(error, FileNotFoundError):
        return LenskitError(f"{file} is missing")
    why = _wrong_card(file) or " ".join(str(error).split())[:200]
    return too_many_files(error) or LenskitError(f"{file} cannot be read as FITS: {why}")


def _wrong_card(file: str | Path) -> str:
    """Return the fault of the first wrong header card; empty if there is none."""
    try:
        with quiet_fits(), open_bytes(file) as stream:
            while True:
                header = fits.Header.fromfile(stream)
                if wrong := wrong_card(header):
                    return wrong
                if (size := header.data_size_padded) < 0:
                    return ""
                stream.seek(stream.tell() + size)
    except (LenskitError, *FAULTS):
        return ""  # a header is missing, or the file ends: the caller's own error says more


def holds_image(hdu: Any) -> bool:
    """Whether an HDU has at least two axes of pixels."""
    return bool(hdu.is_image and len(hdu.shape) >= 2)


def select_image(file: str | Path, hdus: fits.HDUList, name: int | str | None = None) -> Any:
    """Return the HDU with this number or name, or the first HDU with an image.

    Raises:
        UsageError: There is no such HDU, or it has no image.
        LenskitError: No HDU has an image, or the image exceeds the limit of bytes.
    """
    if name is not None:
        try:
            hdu = hdus[name]
        except (KeyError, IndexError) as error:
            there = ", ".join(f"{number} {each.name}".strip() for number, each in enumerate(hdus))
            raise UsageError(f"{file} has no HDU {name}; it has {there}") from error
        if not holds_image(hdu):
            raise UsageError(f"{file}: HDU {name} holds no image")
    elif (hdu := next((hdu for hdu in hdus if holds_image(hdu)), None)) is None:
        raise LenskitError(f"{file} holds no image: no HDU has two or more axes")
    check_hdu(file, hdu)
    return hdu


def pixels_of(hdus: fits.HDUList, hdu: Any) -> NDArray[Any]:
    """Return the pixels of an HDU of an `opened` file; undefined pixels are NaN.

    Raises:
        Exception: One of `FAULTS`, if the file is damaged.
    """
    unsigned, blank_zero = is_unsigned_64(hdu.header), is_blank_zero(hdu.header)  # astropy removes the cards it used
    if not unsigned and not blank_zero:
        blank, data = hdu.header.get("BLANK"), hdu.data
        # Before version 7, astropy does not convert undefined pixels of compressed images.
        return np.where(data == blank, np.nan, data) if isinstance(blank, int) and data.dtype.kind in "iu" else data
    number = next(number for number, each in enumerate(hdus) if each is hdu)
    if unsigned:
        with open_fits(hdus.filename(), uint=True) as exact:
            return undefined_as_nan(exact[number].data, hdu.header)
    with open_fits(hdus.filename(), do_not_scale_image_data=True) as stored:
        return np.where(stored[number].data == 0, np.nan, hdu.data)


def is_unsigned_64(header: fits.Header) -> bool:
    """Whether pixels are unsigned integers of 64 bits.

    In float64 small values would be lost, because the offset is large.
    """
    return header.get("BITPIX") == 64 and header.get("BZERO") == 2**63


def is_blank_zero(header: fits.Header) -> bool:
    """Whether a stored integer of 0 is undefined, which astropy does not convert."""
    blank = header.get("BLANK")
    return isinstance(blank, int) and blank == 0 and header["BITPIX"] > 0


def undefined_as_nan(data: NDArray[Any], header: fits.Header) -> NDArray[Any]:
    """Return unsigned integers of 64 bits with NaN for undefined pixels (BLANK).

    astropy does not convert them.
    """
    blank = header.get("BLANK")
    return np.where(data == np.uint64(blank + 2**63), np.nan, data) if isinstance(blank, int) else data
