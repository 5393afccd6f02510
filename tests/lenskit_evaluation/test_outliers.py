from __future__ import annotations

import numpy as np
import pytest

from lenskit.errors import LenskitError
from lenskit_evaluation.outliers import OutlierDetector, fit_outlier_detector

FEATURES = 64
RNG = np.random.default_rng(0)
MIXING = RNG.normal(size=(FEATURES, FEATURES)) * np.logspace(-2, 1, FEATURES)


def encoded(n: int, seed: int) -> np.ndarray:
    """Return correlated features of unequal scales with a mean; some are constant."""
    x = np.random.default_rng(seed).normal(size=(n, FEATURES)) @ MIXING + 5
    x[:, :4] = np.float32(0.3)
    return x


@pytest.fixture(scope="module")
def detector() -> OutlierDetector:
    return fit_outlier_detector(encoded(2000, 1), encoded(2000, 2))


def test_one_in_a_hundred_of_the_same_kind_is_flagged(detector):
    # With 8000 new images, the rate scatters by 0.0011, and by 0.0022 because of the threshold.
    assert detector.is_outlier(encoded(8000, 3)).mean() == pytest.approx(0.01, abs=0.007)


def test_other_images_are_flagged(detector):
    same = encoded(500, 4)
    shifted = same.copy()
    shifted[:, 30] += 8 * same[:, 30].std()
    assert detector.is_outlier(shifted).mean() > 0.9
    assert detector.is_outlier(same.mean(0) + 2 * (same - same.mean(0))).mean() > 0.99
    woken = same.copy()
    woken[:, 0] += 12 * np.median(same.std(0))
    assert detector.is_outlier(woken).mean() > 0.9  # a change of a feature that is constant in the training images
    same[0, 0] = np.nan
    assert detector.is_outlier(same[:1]).all()


def test_distance_is_mahalanobis():
    # For many Gaussian images, the squared distance has a chi-squared distribution: mean d, variance 2 d.
    x = np.random.default_rng(0).normal(size=(20_000, 10)) @ np.random.default_rng(1).normal(size=(10, 10)) + 7
    squared = fit_outlier_detector(x[:10_000], x[:100]).distance(x[10_000:]) ** 2
    assert squared.mean() == pytest.approx(10, rel=0.05)
    assert squared.var() == pytest.approx(20, rel=0.15)


def test_more_features_than_images():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(800, 5)) @ rng.normal(size=(5, 300)) + 0.01 * rng.normal(size=(800, 300))
    detector = fit_outlier_detector(x[:200], x[200:400])
    assert detector.is_outlier(x[400:]).mean() < 0.06
    assert detector.is_outlier(rng.normal(size=(50, 300))).all()


def test_saved_and_loaded(detector, tmp_path):
    detector.save(tmp_path / "outliers.npz")
    loaded = OutlierDetector.load(tmp_path / "outliers.npz")
    np.testing.assert_array_equal(loaded.distance(encoded(5, 6)), detector.distance(encoded(5, 6)))
    assert loaded.threshold == detector.threshold


def test_bad_input(detector):
    with pytest.raises(LenskitError, match="takes 64 features"):
        detector.distance(np.zeros((2, 63)))
    with pytest.raises(LenskitError, match="collapsed"):
        fit_outlier_detector(np.full((20, 3), 0.1), np.full((20, 3), 0.1))
    broken = encoded(20, 7)
    broken[1, 1] = np.inf
    for train, held_out in ((broken, encoded(20, 8)), (encoded(20, 8), broken)):
        with pytest.raises(LenskitError, match="not finite"):
            fit_outlier_detector(train, held_out)
