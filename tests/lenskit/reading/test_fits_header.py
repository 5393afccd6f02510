"""Invalid cards on which pixels depend."""

from __future__ import annotations

import pytest
from astropy.io import fits

from lenskit.reading.fits_header import repeated, wrong_card

RIGHT = {"SIMPLE": "T", "BITPIX": "16", "NAXIS": "2", "NAXIS1": "6", "NAXIS2": "6"}


def header(*cards: tuple[str, str]) -> fits.Header:
    return fits.Header.fromstring("".join(f"{key:8}= {value:>20}".ljust(80) for key, value in cards) + "END")


@pytest.mark.parametrize(
    "more", [{}, {"BSCALE": "2.5", "BZERO": "-1", "BLANK": "-99"}, {"BITPIX": "-32", "BLANK": "'x'"}]
)
def test_right_cards(more: dict[str, str]) -> None:
    assert wrong_card(header(*(RIGHT | more).items())) == ""


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("BITPIX", "17", "its card BITPIX = 17; it must be 8, 16, 32, 64, -32 or -64"),
        ("BITPIX", "16.0", "its card BITPIX = 16.0; it must be 8, 16, 32, 64, -32 or -64"),
        ("NAXIS", "1000", "its card NAXIS = 1000; it must be a whole number from 0 to 999"),
        ("NAXIS", "999", "its card NAXIS = 999, but there is no card NAXIS3"),
        ("NAXIS2", "-6", "its card NAXIS2 = -6; it must be a whole number of at least 0"),
        ("NAXIS2", "T", "its card NAXIS2 = True; it must be a whole number of at least 0"),
        ("BSCALE", "'x'", "its card BSCALE = 'x'; it must be a number other than 0"),
        ("BSCALE", "0", "its card BSCALE = 0; it must be a number other than 0"),
        ("BZERO", "", "its card BZERO = nothing; it must be a number"),
        ("BZERO", "NaN", "its card BZERO cannot be parsed; it must be a number"),
        ("BLANK", "1.5", "its card BLANK = 1.5; it must be a whole number"),
    ],
)
def test_a_wrong_card_is_named_with_what_is_right(key: str, value: str, told: str) -> None:
    assert wrong_card(header(*(RIGHT | {key: value}).items())) == told


@pytest.mark.parametrize(
    ("key", "values", "told"),
    [
        ("BZERO", ("0", "32768"), "its card BZERO occurs 2 times, as 0 and 32768; remove all but one"),
        ("BLANK", ("1", "1", "2"), "its card BLANK occurs 3 times, as 1 and 2; remove all but one"),
        ("BLANK", ("5", "0"), "its card BLANK occurs 2 times, as 5 and 0; remove all but one"),
        ("BSCALE", ("2", "2.0"), ""),
    ],
)
def test_a_repeated_card_must_not_contradict_itself(key: str, values: tuple[str, ...], told: str) -> None:
    cards = header(*RIGHT.items(), *((key, value) for value in values))
    assert (wrong_card(cards), repeated(cards, ["NAXIS", "TELESCOP", key])) == (told, told)
