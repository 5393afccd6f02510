"""FITS files that unpack to more than the limit, or announce missing data."""

from __future__ import annotations

import bz2
import gzip
import lzma
import mmap
import re
import zipfile
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from lenskit.errors import LenskitError
from lenskit.reading.fits_file import MOST_HEADER, check_hdu, open_bytes, open_fits
from lenskit.reading.limits import VARIABLE

PACK = {"gz": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress}


def header(*lengths: int) -> bytes:
    cards = [("SIMPLE", True), ("BITPIX", -32), ("NAXIS", len(lengths))]
    cards += [(f"NAXIS{axis}", length) for axis, length in enumerate(lengths, 1)]
    return fits.Header(cards).tostring().encode()


@pytest.mark.parametrize("packed", ["", *PACK])
def test_files_are_unpacked_whatever_they_are_called(packed: str) -> None:
    pixels = np.arange(400, dtype=np.float32).reshape(20, 20)
    fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(pixels)]).writeto("plain")
    content = Path("plain").read_bytes()
    Path("a.fits").write_bytes(PACK[packed](content) if packed else content)
    with open_fits("a.fits") as hdus:
        assert len(hdus) == 2
        check_hdu("a.fits", hdus[1])
        np.testing.assert_array_equal(hdus[1].data, pixels)
    with open_bytes("a.fits") as stream:
        assert stream.read() == content


@pytest.mark.slow
@pytest.mark.parametrize("packed", PACK)
@pytest.mark.parametrize(
    "content",
    [header(2000, 2000) + b"\0" * 16_000_000, header(2000, 2000)[:80] + b" " * 16_000_000],
    ids=["data", "header without end"],
)
def test_what_unpacks_to_more_than_the_limit(monkeypatch: pytest.MonkeyPatch, packed: str, content: bytes) -> None:
    """The header may have an END card or none."""
    Path("a.fits").write_bytes(PACK[packed](content))
    monkeypatch.setenv(VARIABLE, "10000000")
    with pytest.raises(LenskitError, match=r"^a.fits .* LENSKIT_MAX_BYTES") as error, open_fits("a.fits") as hdus:
        np.array(hdus[0].data)
    assert "\n" not in str(error.value)
    monkeypatch.setenv(VARIABLE, re.search(r"(\d+)$", str(error.value))[1])
    with open_bytes("a.fits") as stream:
        assert stream.read() == content


@pytest.mark.parametrize(
    ("packed", "damage"), [("gz", "checksum"), ("gz", "end"), *((each, "middle") for each in PACK)]
)
def test_what_cannot_be_unpacked_is_damaged(packed: str, damage: str) -> None:
    """astropy alone takes a wrong checksum of a gz file for the end of the file."""
    fits.PrimaryHDU(np.random.default_rng(0).normal(size=(60, 60))).writeto("plain")
    content = bytearray(PACK[packed](Path("plain").read_bytes()))
    place = {"checksum": -6, "middle": len(content) // 2, "end": len(content) - 20}[damage]
    content[place] ^= 0x55
    Path("a.fits").write_bytes(content[:place] if damage == "end" else content)
    with (
        pytest.raises(LenskitError, match=r"^a.fits cannot be unpacked, because it is damaged: "),
        open_fits("a.fits") as hdus,
    ):
        list(hdus)


def test_a_header_that_announces_terabytes() -> None:
    Path("a.fits").write_bytes(header(10**6, 10**6) + b"\0" * 2880)
    with (
        open_fits("a.fits") as hdus,
        pytest.raises(LenskitError, match=r"^a.fits is cut short: HDU PRIMARY should have"),
    ):
        check_hdu("a.fits", hdus[0])
    Path("b.fits.gz").write_bytes(gzip.compress(Path("a.fits").read_bytes()))
    with pytest.raises(LenskitError, match=r"^b.fits.gz takes 40000\d+ bytes"), open_fits("b.fits.gz") as hdus:
        len(hdus)
    fits.CompImageHDU(np.ones((20, 20), np.float32), compression_type="GZIP_1").writeto("c.fits")
    content = Path("c.fits").read_bytes()
    for axis in (b"1", b"2"):
        content = re.sub(rb"ZNAXIS%b = +20 " % axis, lambda card: b"%b1000000 " % card[0][:-8], content)
    Path("c.fits").write_bytes(content)
    with open_fits("c.fits") as hdus, pytest.raises(LenskitError, match=r"^c.fits: HDU .* takes 4000000000000 bytes"):
        check_hdu("c.fits", hdus[1])


def test_an_archive_is_unpacked_by_its_owner() -> None:
    with zipfile.ZipFile("a.fits", "w") as archive:
        archive.writestr("b.fits", header(2, 2))
    with pytest.raises(OSError, match="is a ZIP archive: unpack it"), open_fits("a.fits"):
        pass


def _longer(path: str, size: int) -> None:
    with open(path, "ab") as file:
        file.truncate(size)


@pytest.mark.slow
def test_zeros_after_the_last_hdu_are_not_read() -> None:
    """The file is sparse, with ten gigabytes of zeros.

    Reading the zeros block by block would take minutes.
    """
    pixels = np.arange(400, dtype=np.float32).reshape(20, 20)
    fits.PrimaryHDU(pixels).writeto("a.fits")
    _longer("a.fits", 10**10)
    with open_fits("a.fits") as hdus:
        assert len(hdus) == 1
        np.testing.assert_array_equal(hdus[0].data, pixels)


@pytest.mark.slow
@pytest.mark.parametrize("packed", ["", *PACK])
def test_a_header_without_an_end_is_not_read_to_the_end_of_its_file(packed: str) -> None:
    content = header(2, 2)[:240] + b" " * (MOST_HEADER + 2 * 2880)
    Path("a.fits").write_bytes(PACK[packed](content) if packed else content)
    if not packed:
        _longer("a.fits", 10**10)
    with open_bytes("a.fits") as stream, pytest.raises(OSError, match="END"):
        fits.Header.fromfile(stream)


def test_pixels_are_mapped_into_memory() -> None:
    fits.PrimaryHDU(np.ones((20, 20), np.float32)).writeto("a.fits")
    with open_fits(Path("a.fits")) as hdus:
        memory = hdus[0].data
        while isinstance(memory, np.ndarray):
            memory = memory.base
        assert isinstance(memory, mmap.mmap)
        assert hdus.filename() == "a.fits"
