"""Tests of ranking metrics against scipy, scikit-learn and counts of all pairs."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.integrate import trapezoid
from scipy.stats import mannwhitneyu, rankdata
from sklearn.metrics import average_precision_score, roc_auc_score
from sklearn.metrics import roc_curve as sklearn_curve

from lenskit.errors import LenskitError
from lenskit_evaluation.rank import (
    LEVELS,
    Ranking,
    auc,
    average_precision,
    roc_curve,
    true_positive_rate,
)

# Few distinct values make ties; arbitrary floats make pairs that differ in the last bit.
SCORES = st.one_of(
    arrays(np.float64, st.integers(1, 30), elements=st.integers(-3, 3).map(float)),
    arrays(np.float64, st.integers(1, 30), elements=st.floats(allow_nan=False)),
)

FEW = settings(max_examples=25, deadline=None)


def both(normal, anomalous):
    """Return labels and scores in the form of scikit-learn."""
    return np.repeat([0, 1], [len(normal), len(anomalous)]), np.concatenate([normal, anomalous])


@FEW
@given(SCORES, SCORES)
def test_auc_is_the_share_of_pairs(normal, anomalous) -> None:
    wins = (anomalous[:, None] > normal).sum() + (anomalous[:, None] == normal).sum() / 2
    assert auc(normal, anomalous) == pytest.approx(wins / (len(normal) * len(anomalous)), abs=1e-12)


@pytest.mark.parametrize("values", [4, 50, 10**9])
def test_auc_is_that_of_scipy_and_scikit_learn(values) -> None:
    rng = np.random.default_rng(values)
    normal, anomalous = rng.integers(values, size=700).astype(float), rng.integers(values, size=900) * 1.2
    n, m = len(normal), len(anomalous)
    statistic = mannwhitneyu(anomalous, normal).statistic / (n * m)
    from_ranks = (rankdata(both(normal, anomalous)[1])[n:].sum() - m * (m + 1) / 2) / (n * m)
    assert auc(normal, anomalous) == pytest.approx(statistic, abs=1e-12)
    assert auc(normal, anomalous) == pytest.approx(from_ranks, abs=1e-12)
    assert auc(normal, anomalous) == pytest.approx(roc_auc_score(*both(normal, anomalous)), abs=1e-12)


@FEW
@given(SCORES, SCORES)
def test_figures_are_those_of_scikit_learn(normal, anomalous) -> None:
    assume(np.isfinite(both(normal, anomalous)[1]).all())
    labels, scores = both(normal, anomalous)
    assert average_precision(normal, anomalous) == pytest.approx(average_precision_score(labels, scores), abs=1e-12)
    false, true = roc_curve(normal, anomalous)
    expected = sklearn_curve(labels, scores, drop_intermediate=False)
    np.testing.assert_allclose([false, true], expected[:2], atol=1e-12)
    assert trapezoid(true, false) == pytest.approx(auc(normal, anomalous), abs=1e-12)
    for level in (*LEVELS, 0.25, 1.0):
        # The best of all possible thresholds.
        best = max(t for f, t in zip(*expected[:2], strict=True) if f <= level)
        assert true_positive_rate(normal, anomalous, level) == pytest.approx(best, abs=1e-12)


@FEW
@given(SCORES, SCORES)
def test_the_opposite_score_has_the_opposite_area(normal, anomalous) -> None:
    assert auc(normal, anomalous) + auc(-normal, -anomalous) == pytest.approx(1, abs=1e-12)


@FEW
@given(*[arrays(np.float64, st.integers(1, 30), elements=st.integers(-9, 9).map(float))] * 2)
def test_only_the_order_counts(normal, anomalous) -> None:
    for transform in (np.exp, lambda x: x**3 - 1e6, np.arctan):
        np.testing.assert_array_equal(
            Ranking(transform(normal), transform(anomalous)).figures(), Ranking(normal, anomalous).figures()
        )


def test_scores_that_are_all_tied_tell_nothing() -> None:
    normal, anomalous = np.zeros(10), np.zeros(5)
    area, precision, *rates = Ranking(normal, anomalous).figures()[:, 0]
    assert (area, precision, rates) == (0.5, 5 / 15, [0, 0, 0])
    np.testing.assert_array_equal(roc_curve(normal, anomalous), [[0, 1], [0, 1]])


def test_tied_scores_are_caught_together_or_not_at_all() -> None:
    # One of ten normal images may be above the threshold, but two have the same score as three of the anomalies.
    normal, anomalous = [*range(8), 9, 9], [9, 9, 9, 10]
    assert true_positive_rate(normal, anomalous, 0.1) == 0.25
    assert true_positive_rate(normal, anomalous, 0.2) == 1
    # 0.29 * 100 is less than 29 in floating point, but the level counts as reached.
    assert true_positive_rate(np.arange(100), [70.5], 0.29) == 1


@FEW
@given(
    arrays(np.int64, (12, 3), elements=st.integers(0, 3)),
    arrays(np.int64, (9, 3), elements=st.integers(0, 3)),
    st.data(),
)
def test_a_resample_is_judged_as_the_images_it_has(zeros, ones, data) -> None:
    assume(zeros.sum(0).all() and ones.sum(0).all())
    normal, anomalous = (
        np.array(data.draw(st.lists(st.integers(0, 6), min_size=n, max_size=n)), float) for n in (12, 9)
    )
    found = Ranking(normal, anomalous).figures(zeros, ones)
    for number in range(3):
        repeated = Ranking(np.repeat(normal, zeros[:, number]), np.repeat(anomalous, ones[:, number]))
        np.testing.assert_allclose(found[:, number], repeated.figures()[:, 0], atol=1e-12)


def test_what_has_no_ranks_is_refused() -> None:
    with pytest.raises(LenskitError, match="AUC is not defined for 0 normal images and 2 anomalies"):
        auc([], [1, 2])
    with pytest.raises(LenskitError, match="2 scores are NaN"):
        auc([np.nan, 1], [2, np.nan])
    assert auc([-np.inf, 1], [2, np.inf]) == 1
