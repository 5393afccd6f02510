"""Random draws of lenses, probes and their scores."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import RidgeCV
from sklearn.preprocessing import StandardScaler

from lenskit.errors import LenskitError
from lenskit.evaluation import Rows, Split
from lenskit.plugin import Parameter
from lenskit_evaluation.probe.probing import Targets, draw_lenses, judge, predict_draws, targets_of
from lenskit_evaluation.regression import PENALTIES

KIND = Parameter("kind", classes=("a", "b", "c"))
WIDTH = Parameter("width", "arcsec")


def rows(n: int, seed: int = 0, **values: np.ndarray) -> Rows:
    x = np.random.default_rng(seed).normal(size=(n, 5))
    known = {"width": x[:, 0] + 2.0, "kind": np.digitize(x[:, 1], [-0.5, 0.5]).astype(float), **values}
    return Rows(x, known, np.arange(n), [str(i) for i in range(n)])


@settings(max_examples=60, deadline=None)
@given(
    lens=st.lists(st.integers(0, 40), min_size=8, max_size=80).filter(lambda lens: len(set(lens)) > 4),
    size=st.integers(2, 50), count=st.integers(1, 6), seed=st.integers(0, 99),
)  # fmt: skip
def test_draws(lens, size, count, seed):
    some = rows(len(lens))
    some = Rows(some.features, some.values, np.array(lens), some.names)
    draws = draw_lenses(some, size, count, seed)
    assert len(draws) == count
    total = len(set(lens))
    for draw in draws:
        shown = some.lens[draw]
        assert len(set(shown)) == len(shown) <= size  # one image per lens
    everything = np.concatenate([some.lens[draw] for draw in draws])
    if size * count <= total:
        assert len(set(everything)) == len(everything) == size * count
    elif count > 1:
        assert len(draws[0]) == min(size, int(0.8 * total))


def test_too_few_to_draw():
    with pytest.raises(LenskitError, match="2 labelled lenses are too few"):
        draw_lenses(rows(2), 10, 3, 0)


def test_classes_are_told_by_the_largest_column():
    train, test = rows(200), rows(300, seed=1)
    targets = Targets((KIND,))
    (found,) = predict_draws("ridge", train, [np.arange(200)], targets, [test.features], 0)
    told = targets.read(found)["kind"][0]
    scaler = StandardScaler().fit(train.features)
    z, fresh = scaler.transform(train.features), scaler.transform(test.features)
    columns = [RidgeCV(200 * PENALTIES).fit(z, train.values["kind"] == number).predict(fresh) for number in range(3)]
    np.testing.assert_array_equal(told, np.argmax(columns, axis=0))
    # One column per class and one for a number, NaN for unknown values.
    train.values["kind"][:3] = [np.nan, -1, 3]
    labels = Targets((WIDTH, KIND)).labels(train)
    assert labels.shape == (200, 4)
    assert np.isnan(labels[:3, 1:]).all()
    np.testing.assert_array_equal(labels[3:, 1:].argmax(1), train.values["kind"][3:])
    np.testing.assert_array_equal(labels[3:, 1:].sum(1), 1)


def test_constant_is_the_mean_of_the_draw():
    train, test = rows(50), rows(20, seed=1)
    targets = Targets((WIDTH,))
    (found,) = predict_draws("-", train, [np.arange(10), np.arange(10, 50)], targets, [test.features], 0)
    np.testing.assert_allclose(found[0], train.values["width"][:10].mean())
    np.testing.assert_allclose(found[1], train.values["width"][10:].mean())


def test_a_label_that_a_draw_lacks_has_no_figure():
    train, test = rows(40), rows(20, seed=1)
    train.values["width"][:39] = np.nan
    targets = Targets((WIDTH, KIND))
    (found,) = predict_draws("ridge", train, [np.arange(20)], targets, [test.features], 0)
    scores = judge(targets, test, found, 0)
    assert np.isnan(scores["width"].r2.value)
    assert "fewer than two lenses" in scores["width"].note
    assert scores["kind"].accuracy.value > 1 / 3


def test_nothing_is_known():
    nothing = {"width": np.full(30, np.nan)}
    with pytest.raises(LenskitError, match="mine has no labels to probe: width is left out"):
        targets_of(Split(rows(30, **nothing), rows(30, **nothing), [WIDTH]), "mine")
