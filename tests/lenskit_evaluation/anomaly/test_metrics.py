"""Figures of detectors, against scikit-learn, and invalid input."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import trapezoid
from sklearn.metrics import average_precision_score, roc_auc_score

from lenskit.errors import LenskitError
from lenskit_evaluation.anomaly.metrics import TOGETHER, judge
from lenskit_evaluation.anomaly.scored import Scored, Truth

LABEL = np.repeat([0, 1, 2], [60, 40, 20])
TRUTH = Truth(("none", "spherical", "vortex"), LABEL, "none")


def drawn(seed: int, step: float) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=len(LABEL)) + step * LABEL


def test_each_class_against_the_normal_one_and_all_together() -> None:
    scores = {"a": drawn(0, 1.0), "b": drawn(1, 0.3)}
    errors = {"MSE": np.exp(scores["a"])}
    judged = judge(TRUTH, {name: Scored(each, "score", errors) for name, each in scores.items()}, resamples=200)
    for name, each in scores.items():
        one = judged.detectors[name]
        assert list(one.figures) == ["spherical", "vortex", TOGETHER]
        for group, number in {"spherical": [1], "vortex": [2], TOGETHER: [1, 2]}.items():
            rows = np.isin(LABEL, [0, *number])
            figures = one.figures[group]
            assert figures.auc.value == pytest.approx(roc_auc_score(LABEL[rows] > 0, each[rows]), abs=1e-12)
            expected = average_precision_score(LABEL[rows] > 0, each[rows])
            assert figures.average_precision.value == pytest.approx(expected, abs=1e-12)
            assert figures.auc.low < figures.auc.value < figures.auc.high
            curve = figures.curve
            assert trapezoid(curve.true_positive, curve.false_positive) == pytest.approx(figures.auc.value)
            inside = np.searchsorted(curve.levels, 0.5)
            assert curve.levels[inside] == 0.5
            assert curve.low[inside] < curve.high[inside] <= 1
        assert one.together is one.figures[TOGETHER]
        assert one.errors["MSE"]["vortex"].value == pytest.approx(errors["MSE"][LABEL == 2].mean())
    assert list(judged.differences) == [("b", "a")]
    difference = judged.differences["b", "a"]
    areas = [judged.detectors[name].together.auc.value for name in "ba"]
    assert difference.value == pytest.approx(areas[0] - areas[1])
    assert difference.significant


def test_one_class_of_anomalies_is_all_of_them() -> None:
    truth = Truth(("normal", "anomaly"), (LABEL > 0).astype(int), "normal")
    judged = judge(truth, {"a": Scored(drawn(0, 1.0), "score")}, resamples=100)
    assert list(judged.detectors["a"].figures) == ["anomaly"]
    assert not judged.differences


@pytest.mark.parametrize(("normal", "told"), [(99, False), (100, True)])
def test_rates_below_one_normal_image_are_not_told(normal: int, told: bool) -> None:
    truth = Truth(("none", "vortex"), np.repeat([0, 1], [normal, 20]), "none")
    scores = np.random.default_rng(0).normal(size=normal + 20) + 2 * truth.label
    rates = judge(truth, {"a": Scored(scores, "score")}, resamples=100).detectors["a"].together.true_positive
    assert {level: not np.isnan(each.value) for level, each in rates.items()} == {0: True, 0.01: told, 0.1: True}
    assert (str(rates[0.01]) == "-") != told


def test_scores_without_bounds_are_ranked() -> None:
    scores = np.where(LABEL > 0, np.inf, -np.inf)
    assert judge(TRUTH, {"a": Scored(scores, "score")}, resamples=100).detectors["a"].together.auc.value == 1


@pytest.mark.parametrize(
    ("truth", "scores", "said"),
    [
        (Truth(TRUTH.classes, 0 * LABEL, "none"), drawn(0, 1), "all 120 images are of the class none: without anom"),
        (Truth(TRUTH.classes, LABEL.clip(1), "none"), drawn(0, 1), "no image is of the class none, all 120 are of sph"),
        (TRUTH, np.where(LABEL == 1, np.nan, 0.0), "a: 40 of 120 scores are NaN, the first of image number 60"),
    ],
)
def test_what_has_no_ranks_is_refused(truth: Truth, scores: np.ndarray, said: str) -> None:
    with pytest.raises(LenskitError, match=said):
        judge(truth, {"a": Scored(scores, "score")})


def test_few_images_are_told(caplog: pytest.LogCaptureFixture) -> None:
    truth = Truth(TRUTH.classes, np.r_[np.zeros(117, int), 1, 1, 2], "none")
    judge(truth, {"a": Scored(drawn(0, 1), "score")}, resamples=100)
    (record,) = caplog.records
    assert "\n" not in record.getMessage()
    assert "classes with fewer than 10 images: spherical (2), vortex (1)" in caplog.text
