"""Warnings of astropy about FITS files."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from lenskit.reading.fits_file import open_fits
from lenskit.reading.quiet import quiet_fits


@pytest.fixture
def padded() -> str:
    """Create a FITS file for which astropy warns."""
    fits.PrimaryHDU(np.ones((20, 20), np.float32)).writeto("a.fits")
    with Path("a.fits").open("ab") as file:
        file.write(b"\0" * 2880)
    return "a.fits"


@pytest.mark.filterwarnings("error")
def test_a_reader_is_quiet_and_others_are_not(padded: str) -> None:
    with open_fits(padded) as hdus:
        assert len(hdus) == 1
    with pytest.raises(Warning), fits.open(padded) as hdus:
        len(hdus)


@pytest.mark.filterwarnings("error")
def test_readers_that_end_in_another_order_than_they_began() -> None:
    """Readers in threads may do so."""
    before = list(warnings.filters)
    first, second = quiet_fits(), quiet_fits()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    warnings.warn_explicit("text", UserWarning, "header.py", 1, "astropy.io.fits.header")
    with pytest.raises(UserWarning):
        warnings.warn_explicit("text", UserWarning, "other.py", 1, "other")
    second.__exit__(None, None, None)
    assert list(warnings.filters) == before
