"""The two sides that `lenskit invariance` weighs against each other."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from lenskit.plugin import Parameter
from lenskit_evaluation.splits import Rows


def headline(parameters: Iterable[Parameter]) -> set[str]:
    """The groups of the parameters that count."""
    return {parameter.group for parameter in parameters if parameter.headline}


def sides(parameters: Iterable[Parameter], groups: Sequence[str]) -> tuple[list[Parameter], list[Parameter]]:
    """The parameters that are to be kept, and the others; numbers of things, such as stamps, are neither."""
    known = [parameter for parameter in parameters if not parameter.identity]
    return [p for p in known if p.group in groups], [p for p in known if p.group not in groups]


def truths(rows: Rows, parameters: Sequence[Parameter]) -> Rows:
    """Lenses with their true parameters in place of features; their mean where one is not known."""
    columns = []
    for parameter in parameters:
        values = rows.values[parameter.name]
        if parameter.classes:
            columns.append((values[:, None] == np.arange(len(parameter.classes))).astype(np.float64))
        elif np.isfinite(values).any():
            columns.append(np.where(np.isfinite(values), values, np.nanmean(values))[:, None])
    features = np.concatenate(columns, axis=1) if columns else np.zeros((len(rows), 1))
    return Rows(features, rows.values, rows.lens, rows.names)
