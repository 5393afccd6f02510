"""What is known of a recorded parameter."""

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
    """A quantity that is recorded with each image, so that it can be probed, plotted and exported.

    What becomes of it when its image is turned or mirrored follows from its spin s: a turn by an angle turns the
    quantity by s times that angle. Components have names that end in `1` and `2`, or in the words `x` or `dx` and `y`
    or `dy`, and are taken together: `center_x` and `center_y` (s = 1), `e1` and `e2` (s = 2). A quantity in `rad` or
    `deg` is the angle itself, counter-clockwise from +x and the same after each part of a turn, 2 pi / s.

    Args:
        name: Key of its values, such as `theta_E`.
        unit: `arcsec`, `rad`, or empty for a pure number.
        symbol: How it is set in figures, such as `$\\theta_E$`.
        group: Parameter group that it is drawn in, such as `lens`.
        classes: Names of the classes, for a class label; empty for a continuous quantity.
        headline: Whether it is one of those that say whether a representation is good: a quantity that is not given
            away by something simpler in the image.
        spin: 0 for what stays as it is, 1 for a vector or a direction, 2 for an ellipticity, a shear or a position
            angle. Nothing lets the name decide: what ends in `x`, `dx`, `y` or `dy` as a word of its own
            (`center_x`, `source_dx`) has spin 1; `e1`, `g1`, `gamma1`, `shear1`, `eps1` and their like, and angles
            called `pa`, `phi`, `position_angle` or `orientation`, have spin 2; all others 0.
        identity: Whether its values number things of a collection, such as stamps of real galaxies (-1 for none): there
            is nothing to be predicted, but images that show the same thing stay on one side of a split.

    Raises:
        ValueError: if it has a spin, and is neither a component nor an angle.
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
                f"parameter {self.name!r} has spin {self.spin}: it is an angle in {' or '.join(ANGLES)}, "
                "or a component whose name ends in 1 or 2, or in x or y as a word of its own"
            )

    @property
    def label(self) -> str:
        """Text for figures: its symbol, or else its name."""
        return self.symbol or as_label(self.name)

    @property
    def continuous(self) -> bool:
        """Whether its values are measures of something, rather than numbers of classes or things."""
        return not self.classes and not self.identity

    @property
    def turns(self) -> int:
        """Its spin: what is said, or else what the name says."""
        if self.spin is not None:
            return self.spin
        if self.is_angle:
            return 2 if _POSITION_ANGLE.fullmatch(self.name) else 0
        return next((spin for spin, names in _BY_NAME.items() if names.fullmatch(self.name)), 0)

    @property
    def is_angle(self) -> bool:
        """Whether it is an angle, and no component of something in such units."""
        return self.unit in ANGLES and not (_COMPONENT if self.spin else _BY_NAME[1]).fullmatch(self.name)

    @property
    def is_first(self) -> bool:
        """Of a component, whether it is that along x (or the cosine)."""
        return self.name[-1:] in ("x", "1")

    @property
    def partner(self) -> str:
        """Of a component, the name of the other one."""
        return self.name[:-1] + self.name[-1:].translate(_PARTNER)


class ParameterRecord(Record):
    """A parameter in a file."""

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
    """The parameters that a file records, which were checked to be `ParameterRecord`s."""
    return tuple(map(_parameter, records))


def _parameter(record: Mapping[str, Any]) -> Parameter:
    return Parameter(**{**record, "classes": tuple(record.get("classes", ()))})
