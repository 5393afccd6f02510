"""Units that the names of columns say: one rule for all files."""

from __future__ import annotations

import re
from collections.abc import Iterable
from math import pi

from lenskit.errors import UsageError

ARCSEC = {"arcsec": 1.0, "mas": 1e-3, "uas": 1e-6, "arcmin": 60.0, "deg": 3600.0, "rad": 180 * 3600 / pi}
"""Arcseconds in each unit of angles."""

OTHER_NAMES = {
    **dict.fromkeys(("arcsecs", "arcsecond", "arcseconds", "asec"), "arcsec"),
    **dict.fromkeys(("milliarcsec", "milliarcsecond", "milliarcseconds"), "mas"),
    **dict.fromkeys(("arcmins", "arcminute", "arcminutes", "amin"), "arcmin"),
    **dict.fromkeys(("degs", "degree", "degrees"), "deg"),
    **dict.fromkeys(("rads", "radian", "radians"), "rad"),
}

LENGTHS = {"kpc": "kpc", "mpc": "Mpc"}
"""Units of lengths, by their names in small letters."""

NO_ANGLES = {"pix", "pixel", "pixels", "px", "pc", *LENGTHS}
"""Words that make an Einstein radius no angle. In other names `pix` may count, and `pc` be a principal component."""

MODELS = {"sie", "sis", "nie", "epl", "pl", "pemd", "spemd"}
"""Models of the mass, which may stand behind `theta_E_`: `theta_E_sie` is the radius by that model."""

_BRACKETS = re.compile(r"(.*?)\s*(?:\[([^\[\]]*)\]|\(([^()]*)\))")


def unit_named(text: str) -> str:
    """Return the usual name of a unit of angles, or the text as it is."""
    word = text.strip().lower()
    word = OTHER_NAMES.get(word, word)
    return word if word in ARCSEC else text.strip()


def is_angle(unit: str) -> bool:
    """Return whether a unit, by its usual name, is one of angles."""
    return unit in ARCSEC


def unit_in(column: str) -> str:
    """Return the unit that a column's name has as a word, as `pa_deg_east`, `theta_E [mas]` or `r_kpc`; or nothing."""
    words = _words(column)
    angle = next((unit for unit in map(unit_named, words) if unit in ARCSEC), "")
    return angle or next((LENGTHS[word.lower()] for word in words if word.lower() in LENGTHS), "")


def split_unit(column: str) -> tuple[str, str]:
    """Return the quantity and the unit of a column whose name ends in a unit, else its name and nothing.

    `theta_E_mas`, `theta_E [mas]` and `theta_E(mas)` are `theta_E` in mas. Units are those of angles and lengths.
    """
    match = _BRACKETS.fullmatch(column) or re.fullmatch(r"(.+)[_\s]([^_\s]+)", column)
    if match is None:
        return column, ""
    unit = unit_named(next(filter(None, match.groups()[1:]), ""))
    return (match[1], unit) if match[1] and (unit in ARCSEC or unit.lower() in NO_ANGLES) else (column, "")


def to_arcsec(column: str, unit: str = "") -> float:
    """Return how many arcseconds one is of a column of radii; 1 if nothing says its unit.

    Args:
        column: The name of the column.
        unit: Its unit, if anything but the name says it.

    Raises:
        UsageError: if the name says that it is a length, not an angle.
    """
    if (unit := unit or unit_in(column)) in ARCSEC:
        return ARCSEC[unit]
    if length := next((word for word in _words(column) if word.lower() in NO_ANGLES), ""):
        raise UsageError(f"the column {column} is in {length}, but theta_E is an angle: give it in arcsec, deg or rad")
    return 1.0


def theta_E_columns(columns: Iterable[str]) -> list[str]:
    """Return the columns that are the Einstein radius: `theta_E`, or else that with a unit or the name of a model.

    Others, such as its error, its logarithm or a unit that is not known, are not the radius, nor is a length.
    """
    angles = [column for column in columns if not {word.lower() for word in _words(column)} & NO_ANGLES]
    exact = [column for column in angles if column == "theta_E"]
    named = [column for column in angles if split_unit(column)[0] == "theta_E"]
    return exact or named or [column for column in angles if _model(split_unit(column)[0]) in MODELS]


def _model(quantity: str) -> str:
    start, _, model = quantity.rpartition("_")
    return model.lower() if start == "theta_E" else ""


def _words(column: str) -> list[str]:
    return [word for word in re.split(r"[_\s\[\]()]+", column) if word]
