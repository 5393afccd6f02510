"""Whole numbers that are too long for a float, such as the identifiers of objects in catalogues."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

WHOLE = re.compile(r"[+-]?\d+", re.ASCII)


def first_inexact(values: Iterable[int] | NDArray[np.integer], kind: DTypeLike) -> int | None:
    """Return the first of some whole numbers that a type of floats does not hold exactly, if there is one.

    Args:
        values: The numbers.
        kind: The type, such as `np.float32`.
    """
    exact, to = 2 ** (np.finfo(kind).nmant + 1), np.dtype(kind).type
    if isinstance(values, np.ndarray):
        values = values[(values > exact) | (values < -exact)].tolist() if values.dtype.itemsize > 2 else []
    with np.errstate(over="ignore"):
        return next((v for v in values if abs(v) > exact and not _same(to(v), v)), None)


def whole_numbers(cells: Sequence[str]) -> list[int] | None:
    """Return a column's numbers if all its known cells are whole numbers without a point or an exponent."""
    return [int(cell) for cell in cells] if all(map(WHOLE.fullmatch, cells)) else None


def _same(value: Any, number: int) -> bool:
    return bool(np.isfinite(value)) and int(value) == number
