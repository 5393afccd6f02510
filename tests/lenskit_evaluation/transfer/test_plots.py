"""Pictures of `lenskit transfer`."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from lenskit_evaluation.bootstrap import Estimate
from lenskit_evaluation.transfer.domain_gap import Distance, Gap
from lenskit_evaluation.transfer.plots import distance_histograms


@pytest.mark.parametrize("far", [1.3, 12, 110, 1e4, 1e7])
def test_ticks_of_distances_are_apart_and_plain(far):
    near = np.geomspace(3.1, 4.3, 50)
    distance = Distance(np.array([3.2, 3.2 * far]), near)
    figure = distance_histograms({"run": Gap(distance, distance, Estimate(0.9), 0.1, 0.01)})
    figure.draw_without_rendering()
    for axes in figure.axes:
        low, high = axes.get_xlim()
        labels = [*axes.get_xticklabels(), *axes.get_xticklabels(minor=True)]
        shown = [text for text in labels if text.get_text() and low <= text.get_position()[0] <= high]
        assert len(shown) >= 2
        assert all(float(text.get_text()) == pytest.approx(text.get_position()[0]) for text in shown)
        assert not any(a.get_window_extent().overlaps(b.get_window_extent()) for a, b in combinations(shown, 2))
