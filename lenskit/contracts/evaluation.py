"""The contract of evaluations: tables have rows, and figures are numbers, so that a report can show them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Any

from matplotlib.figure import Figure

from lenskit.errors import LenskitError


def check_results(origin: str, tables: Mapping[str, Any], summary: Any, pictures: Any) -> None:
    """Check what an evaluation writes, before any of it is written.

    Args:
        origin: The evaluation, such as `evaluation 'mine' of lenskit-mine 1.0`.
        tables: Its tables by their titles.
        summary: Figures by the label of a subject.
        pictures: Pictures by the names of their files.

    Raises:
        LenskitError: A table has no rows of columns, a figure is no number, or a picture is none.
    """
    for title, rows in tables.items():
        if not isinstance(rows, Sequence) or not all(isinstance(row, Mapping) for row in rows):
            raise LenskitError(f"{origin} gives no rows for the table {title!r}: give a list of dicts by column")
    for label, figures in _items(origin, "summary", summary):
        for name, value in _items(origin, f"summary of {label}", figures):
            if value is not None and not isinstance(value, Real):
                raise LenskitError(f"{origin} gives {value!r} as {name} of {label} in its summary: give a number")
    for name, picture in _items(origin, "pictures", pictures):
        if not isinstance(picture, Figure):
            raise LenskitError(f"{origin} gives no picture for {name!r}: give a matplotlib Figure")


def _items(origin: str, what: str, value: Any) -> Any:
    if not isinstance(value, Mapping):
        raise LenskitError(f"{origin} gives its {what} as {type(value).__name__}: give a dict")
    return value.items()
