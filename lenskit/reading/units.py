"""Units in the names of columns."""

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
"""Units of lengths, by their names in lower case."""

NO_ANGLES = {"pix", "pixel", "pixels", "px", "pc", *LENGTHS}
"""Words that show that an Einstein radius is not an angle. In other names they may have other meanings: `pc` may be a
principal component."""

MODELS = {"sie", "sis", "nie", "epl", "pl", "pemd", "spemd"}
"""Mass models whose names may follow `theta_E_`: `theta_E_sie` is the radius of that model."""

_BRACKETS = re.compile(r"(.*?)\s*(?:\[([^\[\]]*)\]|\(([^()]*)\))")


def unit_named(text: str) -> str:
    """Return the standard name of a unit of angles; any other text is unchanged."""
    word = text.strip().lower()
    word = OTHER_NAMES.get(word, word)
    return word if word in ARCSEC else text.strip()


def is_angle(unit: str) -> bool:
    """Whether a standard name is the name of a unit of angles."""
    return unit in ARCSEC


def unit_in(column: str) -> str:
    """Return the unit in the name of a column; empty if there is none.

    The unit is a separate word, as in `pa_deg_east`, `theta_E [mas]` or `r_kpc`.
    """
    words = _words(column)
    angle = next((unit for unit in map(unit_named, words) if unit in ARCSEC), "")
    return angle or next((LENGTHS[word.lower()] for word in words if word.lower() in LENGTHS), "")


def split_unit(column: str) -> tuple[str, str]:
    """Split the name of a column that ends in a unit into quantity and unit.

    `theta_E_mas`, `theta_E [mas]` and `theta_E(mas)` are `theta_E` in mas. Units of angles, lengths and pixels are
    recognised. For all other names, the unit is empty.
    """
    match = _BRACKETS.fullmatch(column) or re.fullmatch(r"(.+)[_\s]([^_\s]+)", column)
    if match is None:
        return column, ""
    unit = unit_named(next(filter(None, match.groups()[1:]), ""))
    return (match[1], unit) if match[1] and (unit in ARCSEC or unit.lower() in NO_ANGLES) else (column, "")


def to_arcsec(column: str, unit: str = "") -> float:
    """Return the factor that converts a column of radii to arcsec.

    It is 1 if the unit is unknown.

    Args:
        column: Name of the column.
        unit: Unit of the column; empty to find the unit in the name.

    Raises:
        UsageError: The name has a unit of length or pixels, not of angles.
    """
    if (unit := unit or unit_in(column)) in ARCSEC:
        return ARCSEC[unit]
    if length := next((word for word in _words(column) if word.lower() in NO_ANGLES), ""):
        raise UsageError(
            f"the column {column} is in {length}, but theta_E is an angle: convert it to arcsec, deg or rad"
        )
    return 1.0


def theta_E_columns(columns: Iterable[str]) -> list[str]:
    """Return the columns that are the Einstein radius.

    These are `theta_E`, or else names of `theta_E` with a unit, or else names with a mass model. An error, a logarithm,
    a length or a column with an unknown unit is not the Einstein radius.
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
