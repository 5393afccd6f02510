"""Domain gaps, against closed forms and SciPy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from lenskit.errors import LenskitError
from lenskit_evaluation.transfer.domain_gap import Distance, energy_distance, find_gap, told_apart


def gauss(n: int, seed: int, d: int = 6) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, d))


def test_images_like_those_fitted_to() -> None:
    gap = find_gap(gauss(600, 1), gauss(300, 2), gauss(200, 3))
    for distance in (gap.mahalanobis, gap.neighbors):
        assert stats.kstest(distance.percentile / 100, "uniform").pvalue > 0.001
    assert gap.auc.low < 0.55
    assert gap.energy < 0.02
    assert gap.p > 0.01


def test_images_off_together() -> None:
    """Images may differ as a set although the distance of each image is usual."""
    shifted = gauss(60, 3) + 0.9 * np.eye(6)[0]
    gap = find_gap(gauss(600, 1), gauss(300, 2), shifted)
    assert np.median(gap.mahalanobis.percentile) < 80
    assert gap.p == 0.001
    # The best classifier of two normal distributions at a distance delta has an area of Phi(delta / sqrt 2).
    assert gap.auc.value == pytest.approx(stats.norm.cdf(0.9 / 2**0.5), abs=0.08)


def test_images_between_clusters_have_no_neighbours() -> None:
    """The middle of a ring has a small Mahalanobis distance, but no neighbours."""
    angle = np.random.default_rng(0).uniform(0, 2 * np.pi, 900)
    ring = np.column_stack([np.cos(angle), np.sin(angle)]) + 0.05 * gauss(900, 1, 2)
    gap = find_gap(ring[:600], ring[600:], 0.05 * gauss(20, 2, 2))
    assert gap.mahalanobis.percentile.max() < 1
    assert gap.neighbors.percentile.min() == 100


def test_percentiles() -> None:
    distance = Distance(np.array([0.0, 2, 2.5, 9]), np.array([1.0, 2, 3, 4]))
    assert distance.percentile.tolist() == [0, 37.5, 50, 100]


def test_energy_distance_is_scipys() -> None:
    a, b = gauss(40, 1, 1), gauss(50, 2, 1) + 1
    cross = np.abs(a - b.T).mean()
    expected = stats.energy_distance(a[:, 0], b[:, 0]) ** 2 / (2 * cross)
    # SciPy returns the square root of the energy distance.
    assert energy_distance(a, b)[0] == pytest.approx(expected)
    assert energy_distance(a, a) == (pytest.approx(0, abs=1e-12), 1.0)
    apart = energy_distance(a, a + 1e6)
    assert apart[0] == pytest.approx(1, abs=1e-4)


def test_p_is_uniform_where_there_is_no_difference() -> None:
    values = [energy_distance(gauss(12, 2 * s, 2), gauss(30, 2 * s + 1, 2), s)[1] for s in range(40)]
    assert stats.kstest(values, "uniform").pvalue > 0.001


@pytest.mark.parametrize(("images", "is_told"), [(1, False), (9, False), (10, True)])
def test_few_images_are_not_told_apart(images: int, is_told: bool) -> None:
    """Few images have no area, because the interval could be from 1 to 1."""
    assert np.isfinite(told_apart(gauss(images, 1), gauss(20, 2)).value) == is_told


def test_bad_input() -> None:
    broken = gauss(5, 3)
    broken[0, 0] = np.nan
    with pytest.raises(LenskitError, match="not finite"):
        find_gap(gauss(30, 1), gauss(30, 2), broken)
