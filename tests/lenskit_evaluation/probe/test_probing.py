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
from lenskit_evaluation.baselines import find_components, in_components
from lenskit_evaluation.probe.label_curves import label_curve, sizes
from lenskit_evaluation.probe.probing import Targets, draw_lenses, judge, predict_draws, targets_of
from lenskit_evaluation.probe.residuals import binned, covariates, is_round
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
        assert len(set(shown)) == len(shown) <= size  # one image a lens
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
    # A column a class, and one for a number, NaN where not known.
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


def test_sizes():
    assert sizes(1000) == [10, 30, 100, 300, 1000]
    assert sizes(250) == [10, 30, 100, 250]
    assert sizes(10) == [10]


def test_a_curve_ends_where_there_are_no_more_lenses():
    found = label_curve("mine", Split(rows(100), rows(50, seed=1), [WIDTH]), Targets((WIDTH,)), 1000, 3, 0)
    assert [point.labels for point in found] == [10, 30, 80]
    assert [len(point.r2) for point in found] == [10, 3, 3]
    few = label_curve("mine", Split(rows(9), rows(50, seed=1), [WIDTH]), Targets((WIDTH,)), 1000, 3, 0)
    assert [point.labels for point in few] == [7]


def test_components_leave_out_what_is_noise_of_these_images():
    rng = np.random.default_rng(0)
    base = rng.normal(size=(3, 400)) * [[10], [5], [2]]
    some = [Rows(rng.normal(size=(n, 3)) @ base + 0.01 * rng.normal(size=(n, 400)), {}, np.arange(n), [""] * n)
            for n in (60, 500)]  # fmt: skip
    components = find_components(some[0], 50, 0)
    assert components.n_components_ == 3
    train, test = (in_components(each, components).features for each in some)
    np.testing.assert_allclose(train.mean(0), 0, atol=1e-3)
    np.testing.assert_allclose(np.cov(train.T), np.diag(train.var(0, ddof=1)), atol=1e-2 * train.var())
    # Lengths are kept, but for the noise, so nothing else was left out.
    centred = some[1].features - some[0].features.mean(0)
    np.testing.assert_allclose((test**2).sum(1), (centred**2).sum(1), rtol=0.01)


class TestResiduals:
    def values(self, n: int = 600) -> Rows:
        rng = np.random.default_rng(2)
        values = {
            "e1": rng.uniform(-0.5, 0.5, n), "e2": rng.uniform(-0.5, 0.5, n), "theta_E": rng.uniform(0.8, 1.8, n),
            "source_magnification": rng.uniform(3, 20, n),
            "log_light_to_arc": np.where(np.arange(n) % 2, 1.0, -1.0), "log_noise": np.full(n, -2.0),
        }  # fmt: skip
        return Rows(np.zeros((n, 1)), values, np.arange(n), [""] * n)

    def test_what_errors_may_depend_on(self):
        found, missing = covariates(self.values().values)
        assert not missing
        # Noise of a hundredth of the maximum, which is the arc's, or ten times that.
        np.testing.assert_allclose(found["arc S/N"][:2], [100, 10])
        np.testing.assert_allclose(is_round(self.values()), found["|e|"] < 0.3)
        assert covariates({"e1": np.zeros(3)})[1] == {
            "|e|": "e2 is not recorded",
            "magnification": "source_magnification is not recorded",
            "arc S/N": "log_light_to_arc and log_noise are not recorded",
        }

    def test_errors_in_bins(self):
        test = self.values()
        magnification = test.values["source_magnification"]
        predicted = np.stack([test.values["theta_E"] + magnification / 100] * 2)
        predicted[1] += 0.02
        found = {each.against: each for each in binned(test, {"theta_E": predicted}, ["theta_E"])}
        each = found["magnification"]
        assert each.n == (100,) * 6
        assert each.low[0] == magnification.min()
        assert each.high[-1] == magnification.max()
        order = np.sort(magnification).reshape(6, 100)
        np.testing.assert_allclose(each.bias, order.mean(1) / 100 + 0.01)
        np.testing.assert_allclose(each.mae, each.bias)
        np.testing.assert_allclose(each.bias_error, 1.96 * order.std(1, ddof=1) / 100 / 10)
        assert max(found["|e|"].bias) - min(found["|e|"].bias) < 0.03
