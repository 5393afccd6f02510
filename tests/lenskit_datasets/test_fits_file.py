"""Undefined pixels of FITS files, for every type of stored integers."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from lenskit.errors import LenskitError
from lenskit_datasets.fits_file import opened, pixels_of, select_image, unreadable
from lenskit_datasets.fits_folder import FitsFolder
from lenskit_datasets.lensiam_fits import LensiamFits


def read(path: Path) -> np.ndarray:
    with opened(path) as hdus:
        return np.array(pixels_of(hdus, select_image(path, hdus)))


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "compressed"])
@pytest.mark.parametrize("kind", ["u1", "i1", "i2", "u2", "i4", "u4", "i8", "u8"])
def test_undefined_pixels_are_nan_whatever_their_type(tmp_path: Path, kind: str, packed: bool) -> None:
    """BLANK is the stored value, for unsigned integers the value before the offset."""
    if packed and kind in ("i8", "u8"):
        pytest.skip("Rice compression has no integers of 64 bits")
    numbers = np.arange(48).reshape(6, 8).astype(kind)
    numbers[2, 1:4] = np.iinfo(kind).max
    blank = int(np.iinfo(kind).max) - (0 if kind == "u1" else {"u": 2 ** (8 * numbers.itemsize - 1)}.get(kind[0], 0))
    blank += 128 if kind == "i1" else 0
    hdu = fits.CompImageHDU(numbers) if packed else fits.PrimaryHDU(numbers)
    if kind != "i8":
        hdu.header["BLANK"] = blank
    hdu.writeto(tmp_path / "a.fits")
    expected = np.where(numbers == np.iinfo(kind).max, np.nan, numbers.astype(float))
    np.testing.assert_array_equal(read(tmp_path / "a.fits"), expected if kind != "i8" else numbers)


def test_without_undefined_pixels_unsigned_integers_are_exact(tmp_path: Path) -> None:
    """In float64 small values would be lost in the offset of 2**63."""
    for kind in ("u2", "u4", "u8"):
        numbers = np.arange(1, 37, dtype=kind).reshape(6, 6)
        fits.writeto(tmp_path / f"{kind}.fits", numbers)
        np.testing.assert_array_equal(read(tmp_path / f"{kind}.fits"), numbers)


def test_undefined_pixels_of_scaled_integers(tmp_path: Path) -> None:
    hdu = fits.PrimaryHDU(np.array([[12, 14], [-99, 18]], "f8"))
    hdu.scale("int16", bscale=2, bzero=10)
    hdu.header["BLANK"] = 4
    hdu.writeto(tmp_path / "a.fits")
    np.testing.assert_array_equal(read(tmp_path / "a.fits"), [[12, 14], [-98, np.nan]])


@pytest.mark.parametrize("packed", ["", ".gz", ".fz"])
@pytest.mark.parametrize("kind", ["u1", "i2", "i4", "i8", "u2", "i1"])
@pytest.mark.parametrize("scaled", [False, True], ids=["as stored", "scaled"])
def test_zero_may_stand_for_undefined_pixels(tmp_path: Path, kind: str, scaled: bool, packed: str) -> None:
    """The stored value counts: unsigned integers have an offset."""
    if packed == ".fz" and kind == "i8":
        pytest.skip("Rice compression has no integers of 64 bits")
    if scaled and kind in ("u2", "i1"):
        pytest.skip("these are scaled as it is")
    offset = {"u2": 32768, "i1": -128}.get(kind, 0)
    numbers = np.arange(48).reshape(6, 8).astype(kind)
    numbers[2, 1:4] = offset
    expected = np.where(numbers == offset, np.nan, numbers.astype(float))
    hdu = fits.CompImageHDU(numbers) if packed == ".fz" else fits.PrimaryHDU(numbers)
    hdu.header["BLANK"] = 0
    hdu.writeto(tmp_path / f"a.fits{packed}")
    if scaled:
        expected = 10 + 0.5 * expected
        options = {"disable_image_compression": True, "do_not_scale_image_data": True}
        with fits.open(tmp_path / f"a.fits{packed}", "update", **options) as hdus:
            hdus[-1].header.update({"BSCALE": 0.5, "BZERO": 10})
    np.testing.assert_array_equal(read(tmp_path / f"a.fits{packed}"), expected)


def test_faults_name_the_file_in_one_line(tmp_path: Path) -> None:
    for name, content in (("a.fits", b"x" * 5000), ("a.fits.gz", b"\x1f\x8b broken"), ("b.fits", b"")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(LenskitError, match=f"{name} cannot be read as FITS") as error:
            read(tmp_path / name)
        assert "\n" not in str(error.value)
    with pytest.raises(LenskitError, match="c.fits is missing"):
        read(tmp_path / "c.fits")


def test_a_card_without_which_no_pixel_is_read_is_named(tmp_path: Path) -> None:
    fits.writeto(tmp_path / "a.fits", np.ones((6, 6), "i2"), fits.Header({"BLANK": 7}))
    content = (tmp_path / "a.fits").read_bytes()
    start = content.index(b"BLANK   =")
    (tmp_path / "a.fits").write_bytes(content[:start] + b"BLANK   =   NaN".ljust(80) + content[start + 80 :])
    with pytest.raises(LenskitError, match=r"a\.fits cannot be read as FITS: its card BLANK cannot be parsed"):
        read(tmp_path / "a.fits")


def test_no_file_is_to_blame_if_too_many_are_open() -> None:
    assert "a.fits" not in str(unreadable("a.fits", OSError(24, "Too many open files")))


def write_cards(path: Path, pixels: np.ndarray, *cards: str) -> None:
    """Write a file with header cards that replace those of the same keywords."""
    header = fits.PrimaryHDU(pixels).header
    lines = [str(card) for card in header.cards if not any(new.startswith(card.keyword.ljust(8)) for new in cards)]
    lines[1:1] = [card.ljust(80) for card in cards]
    text = "".join([*lines, "END"])
    path.write_bytes(
        text.ljust(-(-len(text) // 2880) * 2880).encode() + pixels.astype(">i2").tobytes().ljust(2880, b"\0")
    )


@pytest.mark.parametrize(
    ("card", "told"),
    [
        ("BITPIX  =                   17", "BITPIX = 17; it must be 8, 16, 32, 64, -32 or -64"),
        ("NAXIS   =                  999", "NAXIS = 999, but there is no card NAXIS"),
        ("BSCALE  = 'x       '", "BSCALE = 'x'; it must be a number other than 0"),
        ("BLANK   =                  1.5", "BLANK = 1.5; it must be a whole number"),
    ],
)
@pytest.mark.parametrize("reader", [FitsFolder, LensiamFits])
def test_a_wrong_card_is_named(tmp_path: Path, reader: type, card: str, told: str) -> None:
    shape = (12, 12) if reader is FitsFolder else (12, 12, 2)
    write_cards(tmp_path / "a.fits", np.arange(np.prod(shape), dtype="i2").reshape(shape), card)
    with pytest.raises(LenskitError, match=rf"a\.fits.* cannot be read.*: its card {re.escape(told)}") as error:
        reader(tmp_path).read([0])
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("key", ["BSCALE", "BZERO", "BLANK"])
@pytest.mark.parametrize("reader", [FitsFolder, LensiamFits])
def test_a_card_that_contradicts_itself_is_refused(tmp_path: Path, reader: type, key: str) -> None:
    shape = (12, 12) if reader is FitsFolder else (12, 12, 2)
    cards = [f"{key:8}= {value:>20}" for value in (7, 8)]
    write_cards(tmp_path / "a.fits", np.arange(np.prod(shape), dtype="i2").reshape(shape), *cards)
    with pytest.raises(LenskitError, match=rf"a\.fits.*: its card {key} occurs 2 times, as 7 and 8; remove all"):
        reader(tmp_path).read([0])


def test_a_parameter_that_contradicts_itself_is_refused(tmp_path: Path) -> None:
    pixels, cards = (
        np.arange(288, dtype="i2").reshape(12, 12, 2),
        ["THETA_E =                  1.2", "THETA_E =                  1.5"],
    )
    write_cards(tmp_path / "a.fits", pixels, *cards)
    with pytest.raises(
        LenskitError, match=r"a\.fits cannot be read: its card theta_E occurs 2 times, as 1\.2 and 1\.5"
    ):
        LensiamFits(tmp_path).read_parameters([0])


def test_a_pixel_scale_that_contradicts_itself_is_unclear(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    cards = ["PIXSCALE=                 0.05", "PIXSCALE=                  0.1"]
    write_cards(tmp_path / "a.fits", np.arange(144, dtype="i2").reshape(12, 12), *cards)
    assert FitsFolder(tmp_path).pixel_scale is None
    assert "its card PIXSCALE occurs 2 times, as 0.05 and 0.1; remove all but one" in caplog.text
