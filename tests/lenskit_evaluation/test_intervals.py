from __future__ import annotations

import numpy as np
import pytest

from lenskit_evaluation.intervals import Intervals


@pytest.mark.parametrize("level", [0.5, 0.68, 0.9])
@pytest.mark.parametrize("held_out", [19, 99])
def test_coverage_is_the_stated_one(level, held_out):
    # For any continuous distribution of residuals, the mean coverage is exactly ceil(level (n + 1)) / (n + 1).
    rng = np.random.default_rng(0)
    residuals = rng.standard_t(2, size=(held_out + 1, 20_000))
    half = Intervals.fit(residuals[:-1], np.zeros((held_out, 20_000))).half_width(level)
    covered = np.mean(np.abs(residuals[-1]) <= half)
    expected = np.ceil(level * (held_out + 1) - 1e-9) / (held_out + 1)
    assert expected >= level - 1e-9
    assert covered == pytest.approx(expected, abs=4 * 0.5 / 20_000**0.5)


def test_each_parameter_has_its_own_residuals():
    truth = np.array([[1.0, 10], [2, np.nan], [3, 30], [4, np.nan]])
    prediction = truth + np.array([[0.1, -3], [-0.4, 0], [0.2, 1], [0.3, 0]])
    prediction[np.isnan(prediction)] = 0
    intervals = Intervals.fit(truth, prediction)
    np.testing.assert_allclose(intervals.half_width(0.6), [0.3, 3])
    np.testing.assert_allclose(intervals.half_width(0.8), [0.4, np.inf])
    np.testing.assert_allclose(intervals.half_width(0.9), [np.inf, np.inf])


def test_saved_and_loaded(tmp_path):
    intervals = Intervals.fit(np.random.default_rng(0).normal(size=(50, 2)), np.zeros((50, 2)))
    intervals.save(tmp_path / "intervals.npz")
    loaded = Intervals.load(tmp_path / "intervals.npz")
    np.testing.assert_array_equal(loaded.half_width(0.9), intervals.half_width(0.9))
