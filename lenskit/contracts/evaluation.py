"""Contract of evaluations: tables, metrics and plots that a report can show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Any

from matplotlib.figure import Figure

from lenskit.errors import LenskitError


def check_results(origin: str, tables: Mapping[str, Any], summary: Any, pictures: Any) -> None:
    """Check the results of an evaluation before they are written.

    Args:
        origin: The evaluation, such as `evaluation 'mine' of lenskit-mine 1.0`.
        tables: Its tables by title.
        summary: Metrics (numbers) of each subject, by its label.
        pictures: Pictures by file name.

    Raises:
        LenskitError: A table is not a list of dicts, a metric is not a number, or a picture is not a matplotlib Figure.
    """
    for title, rows in tables.items():
        if not isinstance(rows, Sequence) or not all(isinstance(row, Mapping) for row in rows):
            raise LenskitError(f"{origin}: the table {title!r} must be a list of dicts by column")
    for label, figures in _items(origin, "summary", summary):
        for name, value in _items(origin, f"summary of {label}", figures):
            if value is not None and not isinstance(value, Real):
                raise LenskitError(f"{origin}: {name} of {label} in the summary must be a number, got {value!r}")
    for name, picture in _items(origin, "pictures", pictures):
        if not isinstance(picture, Figure):
            raise LenskitError(f"{origin}: the picture {name!r} must be a matplotlib Figure")


def _items(origin: str, what: str, value: Any) -> Any:
    if not isinstance(value, Mapping):
        raise LenskitError(f"{origin}: the {what} must be a dict, got {type(value).__name__}")
    return value.items()
