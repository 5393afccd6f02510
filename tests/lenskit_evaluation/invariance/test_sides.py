"""True parameters in place of features."""

from __future__ import annotations

import numpy as np

from lenskit.evaluation import Rows
from lenskit.plugin import Parameter
from lenskit_evaluation.invariance.sides import truths


def test_truths_are_filled_with_what_was_fitted_to() -> None:
    def side(count: int, **values: list[float]) -> Rows:
        known = {name: np.array(value, float) for name, value in values.items()}
        return Rows(np.zeros((count, 1)), known, np.arange(count), [""] * count)

    nan = np.nan
    train = side(3, a=[1, 5, nan], b=[1, 2, 3], c=[nan] * 3, k=[0, 1, nan])
    test = side(2, a=[9, nan], b=[nan] * 2, c=[1, 2], k=[1, 1])
    parameters = [*(Parameter(name) for name in "abc"), Parameter("k", classes=("x", "y"))]
    first, second = truths(train, test, parameters)
    np.testing.assert_array_equal(first.features, [[1, 1, 0], [5, 0, 1], [3, 0, 0]])
    np.testing.assert_array_equal(second.features, [[9, 0, 1], [3, 0, 1]])
    assert [rows.features.shape for rows in truths(train, test, parameters[1:3])] == [(3, 1), (2, 1)]
