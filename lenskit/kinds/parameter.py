"""Recorded parameters: name, unit, symbol, and behaviour under rotations."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ConfigDict, Field, model_validator

from lenskit.records import Record
from lenskit.words import as_label

ANGLES = ("rad", "deg")
"""Units of angles."""

_PARTNER = str.maketrans("xy12", "yx21")
_COMPONENT = re.compile(r"(?:.*_)?d?[xy]|.*[12]")
_BY_NAME = {1: re.compile(r"(?:.*_)?d?[xy]"), 2: re.compile(r"(?:.*_)?(?:e|eps|epsilon|g|gamma|shear)_?[12]")}
_POSITION_ANGLE = re.compile(r"(?:.*_)?(?:pa|phi|position_angle|orientation)(?:_.*)?")


@dataclass(frozen=True)
class Parameter:
    """Quantity that is recorded with each image, for probes, plots and exports.

    The spin s determines the new value after the image is rotated or mirrored: a rotation of the image by an angle
    rotates the quantity by s times that angle. The two components of a quantity have names that end in `1` and `2`, or
    in the words `x` or `dx` and `y` or `dy`: `center_x` and `center_y` (s = 1), `e1` and `e2` (s = 2). A quantity in
    `rad` or `deg` is an angle, counter-clockwise from +x, with a period of 2 pi / s.

    Args:
        name: Key of its values, such as `theta_E`.
        unit: `arcsec`, `rad`, or empty for a pure number.
        symbol: Symbol in plots, such as `$\\theta_E$`.
        group: Parameter group to which it belongs, such as `lens`.
        classes: Names of the classes, for a class label; empty for a continuous quantity.
        headline: Whether probes of this parameter measure the quality of a representation, because no simpler property
            of the image reveals it.
        spin: 0 for a quantity that does not rotate, 1 for a vector or a direction, 2 for an ellipticity, a shear or a
            position angle. If None, the name decides. Names that end in `x`, `dx`, `y` or `dy` as a separate word
            (`center_x`, `source_dx`) have spin 1. `e1`, `g1`, `gamma1`, `shear1`, `eps1` and similar names, and angles
            called `pa`, `phi`, `position_angle` or `orientation`, have spin 2. All other names have spin 0.
        identity: Whether its values are numbers of objects in a collection, such as stamps of real galaxies (-1 for
            no object). Such a number cannot be predicted, but images of the same object stay on one side of a split.

    Raises:
        ValueError: The spin is not 0, but the parameter is neither a component nor an angle.
    """

    name: str
    unit: str = ""
    symbol: str = ""
    group: str = "lens"
    classes: tuple[str, ...] = ()
    headline: bool = False
    spin: int | None = None
    identity: bool = False

    def __post_init__(self) -> None:
        if self.spin and not (self.is_angle or _COMPONENT.fullmatch(self.name)):
            raise ValueError(
                f"parameter {self.name!r} has spin {self.spin}: it must be an angle in {' or '.join(ANGLES)}, "
                "or a component whose name ends in 1 or 2, or in x or y as a separate word"
            )

    @property
    def label(self) -> str:
        """Label in plots: its symbol, or its name if it has no symbol."""
        return self.symbol or as_label(self.name)

    @property
    def continuous(self) -> bool:
        """Whether the values are measurements, not numbers of classes or objects."""
        return not self.classes and not self.identity

    @property
    def turns(self) -> int:
        """Spin: the stated spin, or the spin that follows from name and unit."""
        if self.spin is not None:
            return self.spin
        if self.is_angle:
            return 2 if _POSITION_ANGLE.fullmatch(self.name) else 0
        return next((spin for spin, names in _BY_NAME.items() if names.fullmatch(self.name)), 0)

    @property
    def is_angle(self) -> bool:
        """Whether it is an angle. A component of a quantity in `rad` or `deg` is not."""
        return self.unit in ANGLES and not (_COMPONENT if self.spin else _BY_NAME[1]).fullmatch(self.name)

    @property
    def is_first(self) -> bool:
        """Whether it is the first component: along x, or the cosine."""
        return self.name[-1:] in ("x", "1")

    @property
    def partner(self) -> str:
        """Name of the other component of the quantity. Only for components."""
        return self.name[:-1] + self.name[-1:].translate(_PARTNER)


class ParameterRecord(Record):
    """Record of a parameter in a file."""

    model_config = ConfigDict(strict=True, extra="forbid")

    name: str
    unit: str = ""
    symbol: str = ""
    group: str = "lens"
    classes: list[str] = Field(default_factory=list)
    headline: bool = False
    spin: int | None = None
    identity: bool = False

    @model_validator(mode="after")
    def _is_one(self) -> ParameterRecord:
        _parameter(self.model_dump())
        return self


def parameters_of(records: Iterable[Mapping[str, Any]]) -> tuple[Parameter, ...]:
    """Return the parameters of a file.

    Args:
        records: Records of the parameters, already checked as `ParameterRecord`s.
    """
    return tuple(map(_parameter, records))


def _parameter(record: Mapping[str, Any]) -> Parameter:
    return Parameter(**{**record, "classes": tuple(record.get("classes", ()))})
