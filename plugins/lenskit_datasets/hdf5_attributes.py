"""Attributes of a label in an HDF5 file, checked before use."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from lenskit.toolbox import quoted, unit_named

NO_UNIT = ("1", "dimensionless", "none")
"""Units of a pure number, in lower case."""

T = TypeVar("T")


@dataclass(frozen=True)
class Attributes:
    """Description of a label by its attributes; missing attributes are None or empty.

    Attributes:
        unit: From `units`, or else `unit`; empty for a pure number.
        symbol: From `long_name`.
        group: From `group`, the parameter group.
        classes: From `classes`, the names of the classes 0, 1, ...
        identity: From `identity`, whether the values are identity numbers.
    """

    unit: str
    symbol: str | None
    group: str | None
    classes: tuple[str, ...]
    identity: bool


def read_attributes(data: Any) -> Attributes:
    """Read the attributes of an `h5py.Dataset`.

    Raises:
        ValueError: An attribute is damaged or has the wrong type. The message can follow the name of the data set:
            "has the attribute identity='false'; use true or false".
    """
    units = "units" if "units" in data.attrs else "unit"
    unit = unit_named(_read(data, units, _text, "one text in UTF-8") or "")
    return Attributes(
        unit="" if unit.lower() in NO_UNIT else unit,
        symbol=_read(data, "long_name", _text, "one text in UTF-8"),
        group=_read(data, "group", _text, "one text in UTF-8"),
        classes=_read(data, "classes", _texts, "a list of different texts in UTF-8") or (),
        identity=bool(_read(data, "identity", _truth, "true or false")),
    )


def _read(data: Any, name: str, convert: Callable[[Any], T], right: str) -> T | None:
    """Return the value of an attribute; None if it is missing or empty."""
    import h5py

    if name not in data.attrs:
        return None
    try:
        value = data.attrs[name]
    except (OSError, RuntimeError, KeyError, ValueError, TypeError) as error:
        raise ValueError(f"has the attribute {name}, which cannot be read; use {right}") from error
    if isinstance(value, h5py.Empty):
        return None
    try:
        return convert(value)
    except (ValueError, TypeError) as error:
        shown = value.tolist() if isinstance(value, np.ndarray | np.generic) else value
        raise ValueError(f"has the attribute {name}={quoted(shown)}; use {right}") from error


def _one(value: Any) -> Any:
    """Return a scalar; MATLAB stores scalars as arrays of one element."""
    return value.item() if isinstance(value, np.ndarray | np.generic) else value


def _text(value: Any) -> str:
    text = _one(value)
    if not isinstance(text, str | bytes):
        raise TypeError("no text")
    # h5py replaces bytes that are not UTF-8 by surrogates, which cannot be encoded.
    return (text if isinstance(text, bytes) else text.encode()).decode()


def _texts(value: Any) -> tuple[str, ...]:
    if np.ndim(value) != 1:
        raise TypeError("no list")
    texts = tuple(map(_text, value))
    if len(set(texts)) < len(texts):
        raise ValueError("some text twice")
    return texts


def _truth(value: Any) -> bool:
    truth = _one(value)
    if not isinstance(truth, bool | int) or truth not in (0, 1):
        raise TypeError("neither true nor false")
    return bool(truth)
