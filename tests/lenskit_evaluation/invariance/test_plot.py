"""Picture of kept and forgotten parameters."""

from __future__ import annotations

import numpy as np
from matplotlib.collections import LineCollection

from lenskit_evaluation.bootstrap import Estimate
from lenskit_evaluation.invariance.plot import invariance_bars
from lenskit_evaluation.invariance.selectivity import Item, Selectivity


def test_error_bars_are_the_intervals_above_zero() -> None:
    skills = {
        "a": Estimate(0.6, 0.5, 0.8),
        "b": Estimate(-0.2, -0.4, 0.1),
        "c": Estimate(0.1, -0.3, 0.2),
        "d": Estimate(-0.5, -0.9, -0.2),
        "e": Estimate(0.3),
    }
    items = {name: Item(True, skill, np.nan, "ridge") for name, skill in skills.items()}
    found = Selectivity(Estimate(0.2), Estimate(0.2), Estimate(0), items, np.zeros(1))
    left = invariance_bars({"run": found}, {name: name for name in skills}, "the lens").axes[0]
    (lines,) = (each for each in left.collections if isinstance(each, LineCollection))
    ends = [segment[:, 1].tolist() for segment in lines.get_segments()]
    np.testing.assert_allclose(ends, [[0.5, 0.8], [0, 0.1], [0, 0.2], [0, 0], [0.3, 0.3]], atol=1e-12)
