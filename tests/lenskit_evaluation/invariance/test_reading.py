"""Predictions from features, against scikit-learn and closed forms."""

from __future__ import annotations

import logging

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score, r2_score

from lenskit.errors import LenskitError
from lenskit.evaluation import Rows
from lenskit.plugin import Parameter
from lenskit_evaluation.invariance.reading import read_off, skill


def rows(n: int, seed: int, features) -> Rows:
    """Return images with a number u and a class k, and features as a function of both."""
    rng = np.random.default_rng(seed)
    u, k = rng.uniform(-1, 1, n), rng.integers(3, size=n).astype(float)
    return Rows(features(u, k, rng), {"u": u, "k": k}, np.arange(n), [str(i) for i in range(n)])


U, K = Parameter("u"), Parameter("k", classes=("a", "b", "c"))


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 10_000), st.integers(2, 4))
def test_skill_is_that_of_scikit_learn(seed: int, classes: int) -> None:
    rng = np.random.default_rng(seed)
    truth, prediction = rng.normal(size=40), rng.normal(size=40)
    times = rng.integers(0, 4, 40)
    again = np.repeat(np.arange(40), times)
    weights = np.stack([np.ones(40), times], axis=1)
    expected = [r2_score(truth, prediction), r2_score(truth[again], prediction[again])]
    np.testing.assert_allclose(skill(truth, prediction, weights=weights), expected)
    truth, prediction = rng.integers(classes, size=(2, 40))
    expected = [cohen_kappa_score(truth, prediction), cohen_kappa_score(truth[again], prediction[again])]
    np.testing.assert_allclose(skill(truth, prediction, classes, weights), expected, atol=1e-12)


def test_skill_knows_what_it_does_not_know() -> None:
    assert np.isnan(skill([2.0, 2, 2], [1, 2, 3])).all()
    assert np.isnan(skill([1.0, 1, 1], [1, 1, 1], classes=2)).all()
    truth = np.array([1.0, np.nan, 3, 4])
    assert skill(truth, [1.5, 9, 3, 4])[0] == pytest.approx(r2_score([1, 3, 4], [1.5, 3, 4]))


@pytest.mark.slow
def test_what_a_linear_probe_does_not_see_is_found() -> None:
    def hidden(u, k, rng):  # u is an angle on a circle
        noise = rng.normal(size=(len(u), 2)) * 0.02
        return (
            np.column_stack([np.cos(2 * np.pi * u), np.sin(np.pi * u) ** 3, np.sin(2 * np.pi * u)])[:, [0, 2]] + noise
        )

    train, test = rows(800, 1, hidden), rows(300, 2, hidden)
    train.values["v"], test.values["v"] = (np.cos(6 * np.pi * side.values["u"]) for side in (train, test))
    reading = read_off(train, test, [Parameter("v")])["v"]
    assert reading.probe in ("kNN", "MLP")
    assert reading.skill()[0] > 0.9


@pytest.mark.slow
def test_linear_features_are_read_by_ridge() -> None:
    def linear(u, k, rng):
        return np.column_stack([u, *(k == c for c in range(3)), rng.normal(size=(len(u), 4))]) @ mixing

    mixing = np.random.default_rng(0).normal(size=(8, 8))
    found = read_off(rows(400, 1, linear), rows(200, 2, linear), [K, U])
    assert list(found) == ["k", "u"]
    assert found["u"].skill()[0] == pytest.approx(1, abs=1e-4)
    assert found["k"].skill()[0] == 1


def test_noise_says_nothing() -> None:
    found = read_off(*(rows(400, seed, lambda u, k, rng: rng.normal(size=(len(u), 5))) for seed in (1, 2)), [U, K])
    assert abs(found["u"].skill()[0]) < 0.1
    assert abs(found["k"].skill()[0]) < 0.15


def test_a_number_that_no_class_has_is_not_known() -> None:
    train, test = (rows(200, seed, lambda u, k, rng: np.eye(3)[k.astype(int)]) for seed in (1, 2))
    train.values["k"][:30], test.values["k"][:20] = -1, 3
    reading = read_off(train, test, [K])["k"]
    assert np.isnan(reading.truth[:20]).all()
    assert reading.skill()[0] == 1
    assert (test.values["k"][:20] == 3).all()  # the input does not change


def test_what_is_not_known_is_left_out(caplog: pytest.LogCaptureFixture) -> None:
    train, test = (rows(200, seed, lambda u, k, rng: u[:, None].copy()) for seed in (1, 2))
    train.values.update({"same": np.ones(200), "rare": np.where(np.arange(200) < 5, train.values["u"], np.nan)})
    test.values.update({"same": np.ones(200), "rare": np.full(200, 1.0)})
    train.values["u"][:50] = np.nan
    with caplog.at_level(logging.WARNING, "lenskit"):
        found = read_off(train, test, [U, Parameter("same"), Parameter("rare")])
    assert list(found) == ["u"]
    assert found["u"].skill()[0] > 0.99
    assert "same is the same in all lenses" in caplog.text
    assert "rare is known for 5 training and 200 test images, fewer than 20" in caplog.text
    train.features[0, 0] = np.inf
    with pytest.raises(LenskitError, match="not finite"):
        read_off(train, test, [U])
