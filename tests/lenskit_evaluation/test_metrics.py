from __future__ import annotations

import csv
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats
from sklearn import metrics as sklearn_metrics

from lenskit.errors import LenskitError
from lenskit.plugin import Parameter
from lenskit_evaluation.metrics import balanced_accuracy, resampled_figures, score, with_units

FIGURES = ("r2", "mae", "rmse", "bias", "spearman")


def reference(truth: np.ndarray, prediction: np.ndarray) -> list[float]:
    return [
        sklearn_metrics.r2_score(truth, prediction),
        sklearn_metrics.mean_absolute_error(truth, prediction),
        sklearn_metrics.root_mean_squared_error(truth, prediction),
        float(np.mean(prediction - truth)),
        stats.spearmanr(truth, prediction).statistic,
    ]


def predictions(n: int, correlation: float = 0.8, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return tuple(rng.multivariate_normal([1.2, 1.2], [[1, correlation], [correlation, 1]], n).T)


class TestFigures:
    # Few distinct values, to have ties.
    numbers = arrays(float, 12, elements=st.integers(-3, 3).map(lambda i: i / 2 + 100))

    @pytest.mark.slow
    @settings(max_examples=100, deadline=None)
    @given(truth=numbers, prediction=numbers)
    def test_are_scikit_learns_and_scipys(self, truth, prediction):
        result = score(truth, prediction, resamples=2)
        varies = np.ptp(truth) > 0, np.ptp(truth) > 0 and np.ptp(prediction) > 0
        for name, value in zip(FIGURES, reference(truth, prediction) if all(varies) else [], strict=False):
            assert getattr(result, name).value == pytest.approx(value, abs=1e-9), name
        assert math.isnan(result.r2.value) == (not varies[0])
        assert math.isnan(result.spearman.value) == (not varies[1])
        assert bool(result.note) == (not all(varies))

    @pytest.mark.slow
    @settings(max_examples=50, deadline=None)
    @given(truth=numbers, prediction=numbers, counts=arrays(int, (12, 3), elements=st.integers(0, 3)))
    def test_of_resamples(self, truth, prediction, counts):
        counts[0] += 1
        figures = resampled_figures(truth, prediction, counts.astype(float))
        for found, count in zip(figures.T, counts.T, strict=True):
            repeated = truth.repeat(count), prediction.repeat(count)
            if min(map(np.ptp, repeated)) > 0:
                np.testing.assert_allclose(found, reference(*repeated), atol=1e-9)

    def test_mean_of_the_labels_scores_zero(self):
        truth = predictions(50)[0]
        result = score(truth, np.full(50, truth.mean()))
        assert result.r2.value == pytest.approx(0, abs=1e-12)
        assert math.isnan(result.spearman.value)
        assert "all predictions are" in result.note

    def test_constant_on_slacs(self, real_data):
        with (real_data / "slacs" / "labels.csv").open() as file:
            truth = np.array([float(row["theta_E_sie_arcsec"]) for row in csv.DictReader(file)])
        result = score(truth, np.full(20, np.median(truth)))
        assert result.mae.value == pytest.approx(0.158, abs=0.0005)


class TestIntervals:
    @pytest.mark.slow
    def test_are_the_percentiles_of_resamples(self):
        truth, prediction = predictions(60)
        rng = np.random.default_rng(1)
        drawn = [reference(truth[rows], prediction[rows]) for rows in rng.integers(60, size=(1000, 60))]
        result = score(truth, prediction, resamples=4000)
        for name, low, high in zip(FIGURES, *np.quantile(drawn, [0.025, 0.975], axis=0), strict=True):
            # The ends of an interval from 1000 resamples scatter by about 4 % of its width.
            assert getattr(result, name).low == pytest.approx(low, abs=0.15 * (high - low)), name
            assert getattr(result, name).high == pytest.approx(high, abs=0.15 * (high - low)), name

    def test_bias_has_the_standard_error(self):
        truth, prediction = predictions(3000)
        bias = score(truth, prediction).bias
        standard_error = np.std(prediction - truth) / 3000**0.5
        assert (bias.high - bias.low) / (2 * 1.96 * standard_error) == pytest.approx(1, abs=0.08)

    def test_several_images_of_a_lens_count_as_one(self):
        truth, prediction = predictions(100)
        once = score(truth, prediction)
        lenses = np.repeat([f"J{i:03d}" for i in range(100)], 5)
        repeated = score(truth.repeat(5), prediction.repeat(5), lenses=lenses)
        naive = score(truth.repeat(5), prediction.repeat(5))
        width = once.r2.high - once.r2.low
        assert repeated.r2.high - repeated.r2.low == pytest.approx(width, rel=0.1)
        assert naive.r2.high - naive.r2.low < 0.6 * width  # too narrow if images of a lens count as independent

    def test_same_seed_same_interval(self):
        truth, prediction = predictions(30)
        assert score(truth, prediction, seed=3) == score(truth, prediction, seed=3)
        assert score(truth, prediction, seed=3) != score(truth, prediction, seed=4)

    def test_one_lens_has_none(self):
        truth, prediction = predictions(6)
        mae = score(truth, prediction, lenses=["a"] * 6).mae
        assert mae.value > 0
        assert math.isnan(mae.low)


class TestSeveralFits:
    def test_mean_and_spread(self):
        truth, first = predictions(80)
        fits = np.stack([first, first + 0.3, 1.1 * first])
        result, single = score(truth, fits), [score(truth, each) for each in fits]
        for name in FIGURES:
            values = [getattr(each, name).value for each in single]
            assert getattr(result, name).value == pytest.approx(np.mean(values))
            assert getattr(result, name).spread == pytest.approx(np.std(values, ddof=1), abs=1e-12)
        # With equal errors but for a constant shift, the interval is that of the errors, shifted by the mean.
        shifted = score(truth, fits[:2]).bias
        assert (shifted.low, shifted.high) == pytest.approx((single[0].bias.low + 0.15, single[0].bias.high + 0.15))

    def test_the_same_fit_twice_is_that_fit(self):
        truth, prediction = predictions(50)
        once, twice = score(truth, prediction), score(truth, [prediction] * 2)
        assert (once.r2.low, once.r2.high) == pytest.approx((twice.r2.low, twice.r2.high))
        assert twice.r2.spread == 0
        assert math.isnan(once.r2.spread)

    def test_without_an_interval_of_the_rank_correlation(self):
        truth, prediction = predictions(50)
        full, quick = score(truth, prediction), score(truth, prediction, ranks=False)
        assert quick.r2 == full.r2
        assert quick.spearman.value == full.spearman.value
        assert math.isnan(quick.spearman.low)


class TestClasses:
    @pytest.mark.slow
    def test_is_scikit_learns(self):
        rng = np.random.default_rng(0)
        truth = rng.choice(3, 200, p=[0.6, 0.3, 0.1]).astype(float)
        told = np.where(rng.random((2, 200)) < 0.7, truth, rng.integers(0, 3, (2, 200)))
        truth[:10] = np.nan
        result = balanced_accuracy(truth, told)
        values = [sklearn_metrics.balanced_accuracy_score(truth[10:], each[10:]) for each in told]
        assert result.accuracy.value == pytest.approx(np.mean(values))
        assert result.accuracy.spread == pytest.approx(np.std(values, ddof=1))
        assert (result.n, result.dropped, result.chance) == (190, 10, 1 / 3)
        drawn = [sklearn_metrics.balanced_accuracy_score(truth[rows], told[0][rows])
                 for rows in rng.integers(10, 200, (300, 190))]  # fmt: skip
        low, high = np.quantile(drawn, [0.025, 0.975])
        one = balanced_accuracy(truth, told[0]).accuracy
        assert one.high - one.low == pytest.approx(high - low, rel=0.25)

    @pytest.mark.parametrize(("truth", "note"), [([1.0, 1], "all labels are 1"), ([np.nan] * 2, "no label is known")])
    def test_what_is_not_defined_says_why(self, truth, note):
        result = balanced_accuracy(truth, [0, 1])
        assert note in result.note
        assert math.isnan(result.accuracy.value)


class TestLabels:
    def test_unknown_ones_are_dropped_and_counted(self):
        truth, prediction = predictions(40)
        holes = truth.copy()
        holes[::4] = np.nan
        kept = np.isfinite(holes)
        result = score(holes, prediction)
        assert (result.n, result.dropped) == (30, 10)
        assert result.r2 == score(truth[kept], prediction[kept]).r2

    @pytest.mark.parametrize(
        ("truth", "prediction", "note"),
        [
            ([1.5] * 5, range(5), "all labels are 1.5: no R2 and no rank correlation"),
            (range(5), [2] * 5, "all predictions are 2: no rank correlation"),
            ([1.0], [2.0], "one image"),
            ([np.nan] * 3, range(3), "no label is known"),
        ],
    )
    def test_what_is_not_defined_says_why(self, truth, prediction, note):
        result = score(truth, prediction)
        assert note in result.note
        assert math.isnan(result.spearman.value)
        assert str(result.spearman) == "-"

    def test_predictions_must_be_finite(self):
        with pytest.raises(LenskitError, match="1 of 3 predictions are not finite"):
            score([1, 2, 3], [1, np.nan, 3])


def test_a_unit_that_all_share_stands_in_the_columns_and_others_beside_the_names() -> None:
    radius, centre, slope = Parameter("theta_E", "arcsec"), Parameter("center_x", "arcsec"), Parameter("gamma")
    assert with_units([radius, centre]) == ({"theta_E": "theta_E", "center_x": "center_x"}, " [arcsec]")
    assert with_units([radius, slope]) == ({"theta_E": "theta_E [arcsec]", "gamma": "gamma"}, "")
    assert with_units([slope]) == ({"gamma": "gamma"}, "")
