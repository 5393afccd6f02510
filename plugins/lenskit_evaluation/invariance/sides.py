"""Parameters that features should encode, and parameters that they should not."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from lenskit.evaluation import Array, Rows
from lenskit.plugin import Parameter


def headline(parameters: Iterable[Parameter]) -> set[str]:
    """Return the groups of the headline parameters."""
    return {parameter.group for parameter in parameters if parameter.headline}


def sides(parameters: Iterable[Parameter], groups: Sequence[str]) -> tuple[list[Parameter], list[Parameter]]:
    """Return the parameters to keep and the parameters to forget.

    Identities, such as the number of a galaxy stamp, are in neither list.
    """
    plain = [parameter for parameter in parameters if not parameter.identity]
    return [p for p in plain if p.group in groups], [p for p in plain if p.group not in groups]


def truths(train: Rows, test: Rows, parameters: Sequence[Parameter]) -> tuple[Rows, Rows]:
    """Return training and test lenses with true parameters as features.

    Training and test lenses have the same columns. Class labels are one-hot columns. An unknown value of a continuous
    parameter is replaced by the mean of the training lenses. A continuous parameter that is unknown for all training
    lenses or all test lenses is left out.
    """
    both = (train, test)
    columns: list[list[Array]] = [[np.zeros((len(side), 0)) for side in both]]
    for parameter in parameters:
        values = [side.values[parameter.name] for side in both]
        finite = [np.isfinite(each) for each in values]
        if parameter.classes:
            columns.append([(each[:, None] == np.arange(len(parameter.classes))).astype(np.float64) for each in values])
        elif all(each.any() for each in finite):
            mean = values[0][finite[0]].mean()
            columns.append([np.where(k, each, mean)[:, None] for each, k in zip(values, finite, strict=True)])
    features = [np.concatenate(each, axis=1) for each in zip(*columns, strict=True)]
    if not features[0].shape[1]:
        features = [np.zeros((len(side), 1)) for side in both]
    first, second = (replace(side, features=each) for side, each in zip(both, features, strict=True))
    return first, second
