"""Intervals of areas under ROC curves, against published figures and closed forms."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest, norm

from lenskit_evaluation.anomaly.area import (
    difference_interval,
    erring_images,
    hanley_mcneil,
    score_interval,
    trusted_correlation,
)
from lenskit_evaluation.bootstrap import Estimate
from lenskit_evaluation.rank import Ranking, auc

SIDES = st.lists(st.integers(0, 9), min_size=1, max_size=20)


def test_the_variance_of_hanley_and_mcneil() -> None:
    """Reproduce table II of Hanley & McNeil (1982).

    An area of .893 from 58 normal and 51 abnormal images has a standard error of .032.
    """
    assert np.sqrt(hanley_mcneil(0.893, 58, 51)) == pytest.approx(0.032, abs=0.0005)
    for area in (0.0, 1.0):
        assert hanley_mcneil(area, 30, 40) == 0


def test_an_end_is_where_the_area_is_just_not_contradicted() -> None:
    """If the sample variance equals the formula, the interval is Newcombe's."""
    area, n, m = 0.95, 40, 60
    low, high = score_interval(area, hanley_mcneil(area, n, m), n, m, 10.0)
    for end in (low, high):
        assert abs(area - end) == pytest.approx(norm.ppf(0.975) * np.sqrt(hanley_mcneil(end, n, m)))
    assert low < area < high
    # 1 - AUC has the same interval, mirrored.
    mirrored = score_interval(1 - area, hanley_mcneil(area, n, m), n, m, 10.0)
    assert mirrored == pytest.approx((1 - high, 1 - low))


def test_the_sample_decides_where_many_images_err() -> None:
    formula = hanley_mcneil(0.9, 500, 500)
    widths = [np.ptp(score_interval(0.9, 4 * formula, 500, 500, erring)) for erring in (0.0, 2.0, 1e9)]
    assert widths[1] / widths[0] == pytest.approx(2**0.5, rel=0.05)
    assert widths[2] / widths[0] == pytest.approx(2, rel=0.05)


@given(SIDES, SIDES)
def test_errors_are_the_shares_of_pairs(normal: list[int], anomalous: list[int]) -> None:
    a, b = np.sort(normal), np.sort(anomalous)
    wrong = (a[:, None] > b) + 0.5 * (a[:, None] == b)
    found = Ranking(normal, anomalous).errors()
    np.testing.assert_allclose(found[0], wrong.mean(1), atol=1e-12)
    np.testing.assert_allclose(found[1], wrong.mean(0), atol=1e-12)
    assert found[0].mean() == pytest.approx(1 - auc(normal, anomalous))


def test_images_that_err() -> None:
    assert erring_images([0, 0.5, 0.5, 0], [0.2, 0.2, 0.2]) == pytest.approx(2)
    assert erring_images([0, 0, 0.1], [0.9, 0.1]) == pytest.approx(1)
    assert erring_images([0, 0], [0, 0]) == 0


@pytest.mark.parametrize(
    ("counts", "expected"),
    [((56, 70, 48, 80), (0.0524, 0.3339)), ((9, 10, 3, 10), (0.1705, 0.8090)), ((10, 10, 0, 20), (0.6791, 1.0))],
)
def test_the_interval_of_a_difference_of_independent_shares(
    counts: tuple[int, int, int, int], expected: tuple[float, float]
) -> None:
    """With Wilson's intervals the result is method 10 of Newcombe (1998), table II.

    https://doi.org/10.1002/(SICI)1097-0258(19980430)17:8<873::AID-SIM779>3.0.CO;2-I
    """

    def share(found: int, of: int) -> Estimate:
        ends = binomtest(found, of).proportion_ci(method="wilson")
        return Estimate(found / of, ends.low, ends.high)

    found = difference_interval(share(*counts[:2]), share(*counts[2:]), 0.0)
    assert found == pytest.approx(expected, abs=0.00006)


@pytest.mark.slow
@given(st.floats(0.01, 0.2), st.floats(0.01, 0.2), st.floats(-1, 1))
def test_of_symmetric_intervals_the_variances_and_the_covariance_add_up(a: float, b: float, correlation: float) -> None:
    one, other = Estimate(0.7, 0.7 - a, 0.7 + a), Estimate(0.6, 0.6 - b, 0.6 + b)
    half = np.sqrt(max(0, a**2 + b**2 - 2 * correlation * a * b))
    low, high = difference_interval(one, other, correlation)
    assert (low, high) == pytest.approx((0.1 - half, 0.1 + half), abs=1e-7)


def test_few_erring_images_do_not_tell_a_correlation() -> None:
    assert trusted_correlation(0.8, 0.0) == 0
    assert trusted_correlation(0.8, 2.0) == pytest.approx(0.4)
    assert trusted_correlation(0.8, 1e6) == pytest.approx(0.8)
