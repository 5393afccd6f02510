"""Tests of the comparison of detectors, against scikit-learn and closed forms."""

from __future__ import annotations

from types import ModuleType

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import roc_auc_score

from lenskit_evaluation.anomaly.scored import Truth

SCRIPT = "comparison"
TRUTH = Truth(("none", "spherical", "vortex"), np.arange(300) % 3, "none")


def scores(trainings: int, shift: float, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.normal(0, 1, (trainings, 300)) + shift * (TRUTH.label > 0)


def test_auc_is_the_mean_over_trainings(example: ModuleType) -> None:
    ours, theirs = scores(3, 1.0), scores(2, 0.5, seed=1)
    found = example.compare_auc(TRUTH, ours, theirs)
    assert found.ours == pytest.approx(np.mean([roc_auc_score(TRUTH.label > 0, row) for row in ours]), abs=1e-12)
    assert found.theirs == pytest.approx(np.mean([roc_auc_score(TRUTH.label > 0, row) for row in theirs]), abs=1e-12)
    assert found.low < found.difference < found.high


def test_equal_scores_do_not_differ_at_all(example: ModuleType) -> None:
    same = scores(1, 1.0)
    found = example.compare_auc(TRUTH, same, same)
    assert (found.difference, found.low, found.high, found.verdict) == (0, 0, 0, "")


def test_the_interval_of_a_mean_difference_is_that_of_paired_samples(example: ModuleType) -> None:
    """The width is that of Student's t to 10 %, because the common part cancels."""
    rng = np.random.default_rng(0)
    common = rng.normal(5, 10, 300)
    ours, theirs = (common + rng.normal(0, 1, (1, 300)) for _ in range(2))
    found = example.compare_normal(TRUTH, ours, theirs)
    normal = TRUTH.label == 0
    paired = stats.ttest_rel(ours[0, normal], theirs[0, normal]).confidence_interval(0.95)
    assert found.difference == pytest.approx((ours - theirs)[0, normal].mean())
    assert found.high - found.low == pytest.approx(paired.high - paired.low, rel=0.1)
    assert found.low == pytest.approx(paired.low, abs=0.05)


def test_trainings_that_differ_widen_the_interval(example: ModuleType) -> None:
    """All images have equal scores: theirs are 0, ours are 0 and 3."""
    ours = np.repeat([[0.0], [3.0]], 300, axis=1)
    found = example.compare_normal(TRUTH, ours, np.zeros((2, 300)))
    assert (found.ours, found.theirs, found.low, found.high) == (1.5, 0, 0, 3)
    assert found.verdict == ""


@pytest.mark.parametrize(("shift", "auc", "error"), [(2.0, "better", "worse"), (-2.0, "worse", "better")])
def test_a_verdict_is_given_where_the_interval_excludes_zero(
    example: ModuleType, shift: float, auc: str, error: str
) -> None:
    one, other = scores(3, shift), scores(3, 0.0, seed=1)
    assert example.compare_auc(TRUTH, one, other).verdict == auc
    assert example.compare_normal(TRUTH, one + shift, other).verdict == error
