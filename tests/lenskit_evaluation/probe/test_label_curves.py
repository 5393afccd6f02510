"""Scores of ridge regressions against the number of labels."""

from __future__ import annotations

import numpy as np

from lenskit.evaluation import Rows, Split
from lenskit.plugin import Parameter
from lenskit_evaluation.probe.label_curves import label_curve, sizes
from lenskit_evaluation.probe.probing import Targets

WIDTH = Parameter("width", "arcsec")


def rows(n: int, seed: int = 0) -> Rows:
    x = np.random.default_rng(seed).normal(size=(n, 5))
    return Rows(x, {"width": x[:, 0] + 2.0}, np.arange(n), [str(i) for i in range(n)])


def test_sizes():
    assert sizes(1000) == [10, 30, 100, 300, 1000]
    assert sizes(250) == [10, 30, 100, 250]
    assert sizes(10) == [10]


def test_a_curve_ends_where_there_are_no_more_lenses():
    found = label_curve("mine", Split(rows(100), rows(50, seed=1), [WIDTH]), Targets((WIDTH,)), 1000, 3, 0)
    assert [point.labels for point in found] == [10, 30, 80]
    assert [len(point.r2) for point in found] == [10, 3, 3]
    few = label_curve("mine", Split(rows(9), rows(50, seed=1), [WIDTH]), Targets((WIDTH,)), 1000, 3, 0)
    assert [point.labels for point in few] == [7]
