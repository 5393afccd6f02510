"""Bootstrap intervals: stratification, shared resamples, width and coverage."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binomtest, norm

from lenskit.errors import LenskitError
from lenskit_evaluation.anomaly.bootstrap import (
    paired_difference,
    resample_ranks,
    resampled_means,
)
from lenskit_evaluation.anomaly.scored import Truth
from lenskit_evaluation.rank import auc

LABEL = np.repeat([0, 2, 1], [200, 150, 50])
TRUTH = Truth(("none", "spherical", "vortex"), LABEL, "none")


def drawn(seed: int, shift: float = 1.0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=len(LABEL)) + shift * (LABEL > 0)


def test_the_interval_is_as_wide_as_the_variance_of_the_statistic() -> None:
    """The width agrees with the standard error of DeLong, DeLong & Clarke-Pearson.

    They compute it without resampling (1988, https://doi.org/10.2307/2531595).
    """
    scores = drawn(0)
    groups = {"all": TRUTH.anomalies, "spherical": ("spherical",)}
    found = resample_ranks(TRUTH, {"a": scores}, groups, resamples=2000)["a"]
    for name, classes in groups.items():
        normal = scores[LABEL == 0]
        anomalous = scores[np.isin(LABEL, [TRUTH.classes.index(each) for each in classes])]
        wins = (anomalous[:, None] > normal).astype(float)
        error = np.sqrt(wins.mean(0).var(ddof=1) / len(normal) + wins.mean(1).var(ddof=1) / len(anomalous))
        area = found[name].estimates()[0]
        assert area.value == auc(normal, anomalous)
        assert area.high - area.low == pytest.approx(2 * norm.ppf(0.975) * error, rel=0.08)


def test_figures_are_of_the_same_resamples() -> None:
    scores = drawn(0)
    found = resample_ranks(TRUTH, {"a": scores, "b": np.exp(scores), "c": drawn(1)}, {"all": TRUTH.anomalies})
    np.testing.assert_array_equal(found["a"]["all"].resamples, found["b"]["all"].resamples)
    alone = resample_ranks(TRUTH, {"a": scores}, {"all": TRUTH.anomalies})
    np.testing.assert_array_equal(found["a"]["all"].resamples, alone["a"]["all"].resamples)
    nothing = found["a"]["all"].minus(found["b"]["all"])
    assert (nothing.value, nothing.low, nothing.high, nothing.p, nothing.significant) == (0, 0, 0, 1, False)


def test_where_no_image_contradicts_another_the_interval_is_the_exact_binomial_one() -> None:
    for number, value in ((200, 1.0), (-200, 0.0)):
        found = resample_ranks(TRUTH, {"a": number * LABEL}, {"spherical": ("spherical",)}, levels=[0.1])["a"][
            "spherical"
        ]
        area, precision, rate = found.estimates()
        expected = binomtest(int(50 * value), 50).proportion_ci(method="exact")
        for each in (area, rate):
            assert each.value == value
            assert (each.low, each.high) == pytest.approx((expected.low, expected.high))
        assert np.isnan(precision.low)
        # The difference of two perfect detectors has the width of their intervals.
        nothing = found.minus(found)
        width = expected.high - expected.low
        assert (nothing.value, nothing.low, nothing.high) == pytest.approx((0, -width, width))
        assert not nothing.significant
    tied, precision, _ = resample_ranks(TRUTH, {"a": 0 * LABEL}, {"": ("spherical",)}, levels=[0])["a"][""].estimates()
    assert (tied.value, tied.high - tied.low) == pytest.approx((0.5, width))
    assert str(precision) == "0.200"


@pytest.mark.slow
@pytest.mark.parametrize("spread", [1.0, 2.0])
@pytest.mark.parametrize("number", [30, 150])
def test_intervals_contain_an_area_close_to_one(number: int, spread: float) -> None:
    """About 95 % of the intervals contain the true area.

    Scores are normally distributed. The standard error of each share is .015 or less.
    """
    truth = Truth(("none", "vortex"), np.repeat([0, 1], number), "none")
    rng, replications, contained = np.random.default_rng(0), 200, []
    for area in (0.97, 0.98, 0.99, 0.995, 0.998):
        shift = np.hypot(1, spread) * norm.ppf(area)
        scores = {
            str(each): np.append(rng.normal(size=number), shift + spread * rng.normal(size=number))
            for each in range(replications)
        }
        found = resample_ranks(truth, scores, {"": ("vortex",)}, levels=(), resamples=100)
        estimates = [each[""].estimates()[0] for each in found.values()]
        assert all(0 <= each.low <= each.value <= each.high <= 1 for each in estimates)
        contained.append(np.mean([each.low <= area <= each.high for each in estimates]))
    assert min(contained) > (0.9 if number == 150 else 0.87)
    assert 0.92 < np.mean(contained) < 0.985


@pytest.mark.slow
@pytest.mark.parametrize(("number", "common"), [(50, 0.8), (150, 0.3)])
def test_intervals_contain_the_difference_of_two_areas(number: int, common: float) -> None:
    """About 95 % of the intervals contain the true difference.

    Scores are normally distributed with the correlation `common`. The standard error of each share is .02 or less.
    """
    truth = Truth(("none", "vortex"), np.repeat([0, 1], number), "none")
    rng, replications, contained = np.random.default_rng(0), 120, []
    for areas in ((0.97, 0.95), (0.998, 0.99), (0.9, 0.9), (0.7, 0.65)):
        scores = {}
        for each in range(replications):
            noise = rng.normal(size=(3, 2 * number))
            for detector, area in enumerate(areas):
                own = np.sqrt(common) * noise[2] + np.sqrt(1 - common) * noise[detector]
                scores[f"{detector} {each}"] = own + np.sqrt(2) * norm.ppf(area) * truth.label
        found = resample_ranks(truth, scores, {"": ("vortex",)}, levels=(), resamples=100)
        differences = [found[f"0 {each}"][""].minus(found[f"1 {each}"][""]) for each in range(replications)]
        assert all(each.low <= each.value <= each.high for each in differences)
        assert all(each.significant == (each.p < 0.05) for each in differences)
        contained.append(np.mean([each.low <= areas[0] - areas[1] <= each.high for each in differences]))
    assert min(contained) > 0.89
    assert np.mean(contained) > 0.93


def test_with_many_images_a_difference_scatters_as_its_variance_says() -> None:
    """The width and p agree with the variance of DeLong, DeLong & Clarke-Pearson.

    Their variance includes the covariance of both areas (1988, https://doi.org/10.2307/2531595).
    """
    one, other = (drawn(0) + 0.5 * drawn(seed, 0.5) for seed in (1, 2))
    components = []
    for scores in (one, other):
        wins = (scores[LABEL > 0][:, None] > scores[LABEL == 0]).astype(float)
        components.append((wins.mean(0), wins.mean(1)))
    variance = sum(np.var(a - b, ddof=1) / len(a) for a, b in zip(*components, strict=True))
    found = paired_difference(TRUTH, one, other, resamples=4000)
    assert found.high - found.low == pytest.approx(2 * norm.ppf(0.975) * np.sqrt(variance), rel=0.1)
    assert found.p == pytest.approx(2 * norm.sf(abs(found.value) / np.sqrt(variance)), rel=0.1)


def test_a_detector_without_errors_beside_one_that_errs() -> None:
    """Without errors of one detector, the interval is the one of independent areas."""
    perfect, other = 100.0 * (LABEL > 0), drawn(0)
    found = resample_ranks(TRUTH, {"a": perfect, "b": other}, {"": TRUTH.anomalies}, levels=())
    one, two = found["a"][""], found["b"][""]
    difference = one.minus(two)
    ends = [each.estimates()[0] for each in (one, two)]
    assert difference.low == pytest.approx(difference.value - np.hypot(1 - ends[0].low, ends[1].high - ends[1].value))
    assert difference.high == pytest.approx(difference.value + ends[1].value - ends[1].low)
    assert difference.p == pytest.approx(2 / 1001)


def test_pairing_narrows_a_difference() -> None:
    # Two detectors make errors on the same images, and one detector is better.
    hard = drawn(0)
    one, other = hard + 0.1 * drawn(1, 3.0), hard + 0.1 * drawn(2, 0.0)
    paired = paired_difference(TRUTH, one, other)
    assert paired.low > 0
    assert paired.significant
    assert paired.p < 0.01
    apart = resample_ranks(TRUTH, {"a": one}, {"": TRUTH.anomalies}, seed=5)["a"][""]
    against = resample_ranks(TRUTH, {"b": other}, {"": TRUTH.anomalies}, seed=6)["b"][""]
    unpaired = apart.minus(against)
    assert paired.value == unpaired.value
    assert paired.high - paired.low < 0.6 * (unpaired.high - unpaired.low)
    opposite = paired_difference(TRUTH, other, one)
    assert (opposite.value, opposite.p) == pytest.approx((-paired.value, paired.p))
    assert (opposite.low, opposite.high) == pytest.approx((-paired.high, -paired.low))


def test_several_trainings_are_taken_together() -> None:
    one, other = np.stack([drawn(s) for s in range(3)]), np.stack([drawn(s, 0.9) for s in range(3, 6)])
    found = paired_difference(TRUTH, one, other, among="vortex")
    single = [paired_difference(TRUTH, a, b, among="vortex").value for a, b in zip(one, other, strict=True)]
    assert found.value == pytest.approx(np.mean(single))


def test_means_of_each_class() -> None:
    values = drawn(0, 2.0)
    found = resampled_means(TRUTH, values, resamples=2000)
    assert list(found) == ["none", "spherical", "vortex"]
    for number, name in enumerate(found):
        mine = values[number == LABEL]
        assert found[name].value == pytest.approx(mine.mean())
        width = 2 * norm.ppf(0.975) * mine.std() / np.sqrt(len(mine))
        assert found[name].high - found[name].low == pytest.approx(width, rel=0.08)


def test_a_group_without_images_is_refused() -> None:
    with pytest.raises(LenskitError, match="200 normal images and 0 anomalies"):
        resample_ranks(TRUTH, {"a": drawn(0)}, {"nothing": ()})
