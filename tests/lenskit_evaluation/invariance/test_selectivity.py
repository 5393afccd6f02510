"""Score of kept and forgotten parameters, in closed form."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lenskit_evaluation.invariance.reading import Reading
from lenskit_evaluation.invariance.selectivity import difference, selectivity, share

RNG = np.random.default_rng(0)
TRUTH = {name: RNG.normal(size=200) for name in ("theta_E", "e1", "x", "size")}
LENS = np.arange(200)


def reading(name: str, r2: float) -> Reading:
    """Return predictions with exactly this R2: the truth plus a scaled random error."""
    truth = TRUTH[name]
    error = np.random.default_rng(len(name)).normal(size=len(truth))
    error *= np.sqrt((1 - r2) * truth.var() / (error**2).mean())
    return Reading(truth, truth + error, 0, "ridge")


def score(theta_E: float, e1: float, x: float, size: float, **given):
    kept = {"theta_E": reading("theta_E", theta_E), "e1": reading("e1", e1)}
    return selectivity(kept, {"x": reading("x", x), "size": reading("size", size)}, lens=LENS, resamples=200, **given)


@pytest.mark.parametrize(
    ("skills", "expected"),
    [
        ((1, 1, 0, 0), 1),  # the lens and nothing else
        ((0, 0, 1, 1), -1),  # everything except the lens
        ((1, 1, 1, 1), 0),  # everything
        ((0, 0, 0, 0), 0),  # collapsed
        ((0.8, 0.4, 0.3, 0.1), 0.4),
        ((0.8, -3, 0.3, -1), 0.25),  # negative skills count as 0
    ],
)
def test_without_anything_given(skills: tuple[float, ...], expected: float) -> None:
    found = score(*skills)
    assert found.score.value == pytest.approx(expected, abs=1e-9)
    assert found.score.value == pytest.approx(found.kept.value - found.left.value)


def test_what_is_given_away_is_taken_off() -> None:
    control = {"theta_E": reading("theta_E", 0.2), "e1": reading("e1", 0.9)}
    # (.6 - .2 + 0) / (.8 + .1): the control predicts e1 better than the image with its source.
    assert score(0.6, 0.5, 0, 0, controls=[control]).kept.value == pytest.approx(0.4 / 0.9)
    # Implied parameters do not count as left: features of the lens alone still score 1.
    implied = {"x": reading("x", 0.3)}
    assert score(1, 1, 0.3, 0, controls=[control], implied=implied).score.value == pytest.approx(1)
    assert score(1, 1, 1, 0, implied=implied).left.value == pytest.approx(0.7 / 1.7)
    # The better of two controls counts.
    blind = {"theta_E": reading("theta_E", 0.0), "e1": reading("e1", 0.3)}
    assert score(0.6, 0.5, 0, 0, controls=[blind, control]).kept.value == pytest.approx(0.4 / 0.9)
    everything = {"theta_E": reading("theta_E", 1.0), "e1": reading("e1", 1.0)}
    assert np.isnan(score(1, 1, 0, 0, controls=[everything]).score.value)


@settings(deadline=None, max_examples=50)
@given(st.lists(st.tuples(st.floats(-1, 1), st.floats(-1, 1)), min_size=1, max_size=6))
def test_a_share_is_one(pairs: list[tuple[float, float]]) -> None:
    skill = {str(i): np.array([s]) for i, (s, _) in enumerate(pairs)}
    off = {str(i): np.array([g]) for i, (_, g) in enumerate(pairs)}
    value = share(skill, off)[0]
    assert np.isnan(value) or 0 <= value <= 1
    higher = share({name: np.minimum(s + 0.1, 1) for name, s in skill.items()}, off)[0]
    assert np.isnan(value) or higher >= value - 1e-12


def test_intervals_hold_the_truth() -> None:
    """About 95 % of the intervals of many test sets contain the true score."""
    rng = np.random.default_rng(1)
    inside = 0
    for trial in range(100):
        u, v = rng.normal(size=(2, 150))
        # R2 is .5 for the kept parameter and .2 for the other one.
        kept = Reading(u, u + np.sqrt(0.5) * rng.normal(size=150), 0, "ridge")
        rest = Reading(v, v + np.sqrt(0.8) * rng.normal(size=150), 0, "ridge")
        found = selectivity({"u": kept}, {"v": rest}, lens=np.arange(150), resamples=200, seed=trial).score
        inside += found.low < 0.3 < found.high
    assert inside >= 85  # 95 are expected, with a binomial error of 2.2


def test_images_of_a_lens_are_resampled_together() -> None:
    u = np.repeat(RNG.normal(size=50), 4)
    error = np.repeat(RNG.normal(size=50), 4)
    many = Reading(u, u + error, 0, "ridge")
    alone = Reading(u[::4], u[::4] + error[::4], 0, "ridge")
    together, once = (
        selectivity({"u": r}, {}, lens=lens, seed=3).items["u"].skill
        for r, lens in ((many, np.repeat(np.arange(50), 4)), (alone, np.arange(50)))
    )
    assert [together.low, together.high] == pytest.approx([once.low, once.high])


def test_a_difference_of_two() -> None:
    a, b = score(0.9, 0.9, 0.1, 0.1), score(0.5, 0.5, 0.1, 0.1)
    gap = difference(a, b)
    assert gap.value == pytest.approx(0.4)
    assert 0 < gap.low < gap.value < gap.high
    same = difference(a, a)
    assert [same.value, same.low, same.high] == [0, 0, 0]
