"""FITS files, opened."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from astropy.io import fits

from lenskit.plugin import LenskitError, open_fits


@contextmanager
def opened(file: str | Path) -> Iterator[fits.HDUList]:
    """An open FITS file, whose faults are errors that name it.

    Raises:
        LenskitError: if it cannot be read.
    """
    try:
        with open_fits(file) as hdus:
            yield hdus
    except LenskitError:
        raise
    except (OSError, ValueError, TypeError, EOFError, zlib.error) as error:
        raise LenskitError(f"{file} cannot be read as FITS: {error}") from error
