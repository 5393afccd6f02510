"""Integers too long for a float, such as identifiers of objects in catalogues."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import DTypeLike, NDArray

WHOLE = re.compile(r"[+-]?\d+", re.ASCII)


def first_inexact(values: Iterable[int] | NDArray[np.integer], kind: DTypeLike) -> int | None:
    """Return the first integer that a float type cannot represent exactly, if any.

    Args:
        values: The numbers.
        kind: The type, such as `np.float32`.
    """
    about = np.finfo(kind)
    exact = 2 ** (about.nmant + 1)
    if isinstance(values, np.ndarray):
        values = values[(values > exact) | (values < -exact)].tolist() if values.dtype.itemsize > 2 else []
    return next((value for value in values if abs(value) > exact and not _fits(abs(value), about)), None)


def whole_numbers(cells: Sequence[str]) -> list[int] | None:
    """Return the integers of a column; None unless all cells are plain integers.

    A plain integer has no decimal point and no exponent.
    """
    return [int(cell) for cell in cells] if all(map(WHOLE.fullmatch, cells)) else None


def _fits(value: int, about: np.finfo) -> bool:
    """Whether a float can represent an integer: it has enough digits and range."""
    zeros = (value & -value).bit_length() - 1
    return value.bit_length() - zeros <= about.nmant + 1 and value.bit_length() <= about.maxexp
