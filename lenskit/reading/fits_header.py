"""Checks of the FITS header cards on which pixel values depend."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import isfinite
from typing import TYPE_CHECKING, Any

from lenskit.words import quoted

if TYPE_CHECKING:
    from astropy.io import fits

BITPIX = (8, 16, 32, 64, -32, -64)
"""Pixel types of the FITS standard."""

MOST_AXES = 999
"""Maximum number of axes in the FITS standard."""


def wrong_card(header: fits.Header) -> str:
    """Return text about the first invalid card that affects pixels; empty if none.

    These cards are BITPIX, NAXIS, NAXIS1 and so on, BSCALE, BZERO, and for integers BLANK.

    Args:
        header: The header of an image, before astropy reads the pixels, because astropy then removes cards.

    Returns:
        Text such as "its card BITPIX = 17; it must be 8, 16, 32, 64, -32 or -64".
    """
    from astropy.io.fits import VerifyError

    for key, is_right, right in _rules(header):
        if key not in header:
            continue
        try:
            if contradiction := repeated(header, [key]):
                return contradiction
            value = header[key]
        except VerifyError:
            return f"its card {key} cannot be parsed; it must be {right}"
        if not is_right(value):
            return f"its card {key} = {_shown(value)}; it must be {right}"
    if missing := next((key for key in _axes(header) if key not in header), None):
        return f"its card NAXIS = {header['NAXIS']}, but there is no card {missing}"
    return ""


def repeated(header: fits.Header, keys: Sequence[str]) -> str:
    """Return text about the first keyword that occurs with different values.

    astropy would use only the first value.

    Args:
        header: A FITS header.
        keys: Keywords.

    Returns:
        Text such as "its card BZERO occurs 2 times, as 0 and 32768; remove all but one"; empty if there is none.

    Raises:
        VerifyError: A card cannot be parsed (exception of astropy).
    """
    for key in keys:
        if key in header and (count := header.count(key)) > 1:
            values = [header[key, number] for number in range(count)]
            if others := [value for value in values if _differ(value, values[0])]:
                shown = f"{_shown(values[0])} and {_shown(others[0])}"
                return f"its card {key} occurs {count} times, as {shown}; remove all but one"
    return ""


def _rules(header: fits.Header) -> Iterator[tuple[str, Any, str]]:
    """Yield keywords, tests of their values, and descriptions of valid values.

    A keyword comes before the keywords that depend on it.
    """
    yield "BITPIX", lambda value: _is_whole(value) and value in BITPIX, "8, 16, 32, 64, -32 or -64"
    yield "NAXIS", lambda value: _is_length(value) and value <= MOST_AXES, "a whole number from 0 to 999"
    for key in _axes(header):
        yield key, _is_length, "a whole number of at least 0"
    yield "BSCALE", lambda value: _is_number(value) and value != 0, "a number other than 0"
    yield "BZERO", _is_number, "a number"
    if header.get("BITPIX", 0) > 0:
        yield "BLANK", _is_whole, "a whole number"


def _axes(header: fits.Header) -> list[str]:
    return [f"NAXIS{axis}" for axis in range(1, header.get("NAXIS", 0) + 1)]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_length(value: Any) -> bool:
    return _is_whole(value) and value >= 0


def _differ(one: Any, other: Any) -> bool:
    """Whether two values of a card differ: 1 and 1.0 do not, 1 and True do."""
    return bool(one != other or isinstance(one, bool) != isinstance(other, bool))


def _shown(value: Any) -> str:
    from astropy.io.fits.card import Undefined

    return "nothing" if value is None or isinstance(value, Undefined) else quoted(value)
