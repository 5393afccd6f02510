"""Tests of class metrics against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, balanced_accuracy_score, roc_auc_score

from lenskit.errors import LenskitError
from lenskit_evaluation.classification import resampled_figures, score_classes


def predicted(n: int, classes: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return labels with all classes, and informative probabilities with ties."""
    rng = np.random.default_rng(seed)
    truth = np.concatenate([np.arange(classes), rng.integers(classes, size=n - classes)])
    raw = np.round(rng.random((n, classes)), 1) + 0.3 * np.eye(classes)[truth] + 0.01
    return truth, raw / raw.sum(1, keepdims=True)


def reference(truth: np.ndarray, probabilities: np.ndarray, weight: np.ndarray | None = None) -> list[float]:
    label = probabilities.argmax(1)
    binary = probabilities.shape[1] == 2
    return [
        accuracy_score(truth, label, sample_weight=weight),
        balanced_accuracy_score(truth, label, sample_weight=weight),
        roc_auc_score(truth, probabilities[:, 1] if binary else probabilities, multi_class="ovr", sample_weight=weight),
    ]


@settings(deadline=None, max_examples=25)
@given(st.integers(6, 60), st.integers(2, 4), st.integers(0, 2**32 - 1))
def test_agrees_with_scikit_learn(n: int, classes: int, seed: int) -> None:
    truth, probabilities = predicted(n, classes, seed)
    found = score_classes(truth, probabilities, resamples=10)
    values = [found.accuracy.value, found.balanced_accuracy.value, found.roc_auc.value]
    assert values == pytest.approx(reference(truth, probabilities))
    assert found.accuracy.low <= found.accuracy.high


def test_a_resample_is_a_weight() -> None:
    truth, probabilities = predicted(50, 3, 1)
    counts = np.random.default_rng(2).integers(0, 4, size=(50, 1)).astype(float)
    counts[:3] = 1
    np.testing.assert_allclose(
        resampled_figures(truth, probabilities, counts)[:, 0], reference(truth, probabilities, counts[:, 0])
    )


def test_the_interval_of_an_accuracy_is_the_binomial_one() -> None:
    truth = np.repeat([0, 1], 500)
    right = np.random.default_rng(0).random(1000) < 0.8
    said = np.where(right, truth, 1 - truth)
    found = score_classes(truth, np.eye(2)[said] * 0.8 + 0.1, seed=3)
    p = right.mean()
    half = 1.96 * np.sqrt(p * (1 - p) / 1000)
    assert (found.accuracy.low, found.accuracy.high) == pytest.approx((p - half, p + half), abs=0.1 * half)


def test_what_is_not_known_is_dropped_and_counted() -> None:
    truth, probabilities = predicted(30, 2, 5)
    with_gaps = np.concatenate([truth, [np.nan, -1, 2]])
    more = np.concatenate([probabilities, probabilities[:3]])
    found, whole = score_classes(with_gaps, more), score_classes(truth, probabilities)
    assert (found.n, found.dropped) == (30, 3)
    assert found.roc_auc == whole.roc_auc
    nothing = score_classes([np.nan], [[0.5, 0.5]])
    assert nothing.n == 0
    assert nothing.note == "no label is known"


def test_says_which_class_is_absent() -> None:
    found = score_classes([0, 0, 2], [[0.8, 0.1, 0.1], [0.4, 0.6, 0], [0, 0, 1]])
    assert np.isnan(found.roc_auc.value)
    assert "class 1" in found.note
    assert found.balanced_accuracy.value == pytest.approx(balanced_accuracy_score([0, 0, 2], [0, 1, 2]))


def test_refuses_what_is_no_number() -> None:
    with pytest.raises(LenskitError, match="not finite"):
        score_classes([0, 1], [[0.5, 0.5], [np.nan, 0.5]])
