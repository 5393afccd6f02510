"""Score of how well a representation keeps shared parameters and forgets the rest.

A parameter is predicted from features with a skill from 0 to 1: R2, or Cohen's kappa of a class label. Two parts of the
skill do not count:

- A part of the kept parameters is **given away** by the lens light: it can be predicted without the arcs. The lens
  light follows the mass, so that images without an arc reveal e1, e2 and the centre. A control measures this part: it
  predicts the parameters from the same scenes without the source. The control uses the features of the representation
  and the pixels, and the higher skill counts. (With the features alone, the given part would be smaller for a
  representation that ignores the lens light than for a representation that uses it.)
- A part of the remaining parameters is **implied** by the kept parameters: a steeper lens magnifies less, for example.
  A probe that predicts from the true values of the kept parameters measures this part.

The parameters to keep are pooled, and so are the parameters to forget. The share of each side is the skill beyond the
given part, divided by the maximum of this skill:

    share = sum of max(0, skill - given) / sum of (1 - given),

where skill and given are clipped to 0..1. Without a given part, the share is the mean skill. A parameter that is given
away completely has no weight. This is conservative: information of the arcs about e1 only counts if the skill with arcs
exceeds the skill of the control.

`kept` is the share of the parameters to keep, `left` is the share of the parameters to forget, and the score is
kept - left. It is 1 for features of the lens alone, and -1 for features of everything except the lens. It is 0 for
features of everything, and for features of nothing (a collapsed encoder); `kept` and `left` distinguish these two
cases. The score is a difference and not a ratio, so that the difference between two runs has a confidence interval.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lenskit.evaluation import Array
from lenskit_evaluation.bootstrap import Estimate, estimate, resample
from lenskit_evaluation.invariance.reading import Reading


@dataclass(frozen=True)
class Item:
    """Result of one parameter.

    Attributes:
        kept: Whether the parameter is to be kept.
        skill: R2 or Cohen's kappa.
        given: Skill that does not count. For a parameter to keep, it is the skill of the control. For a parameter to
            forget, it is the skill of a prediction from the true values of the kept parameters. NaN (not measured)
            counts as 0.
        probe: Name of the probe.
    """

    kept: bool
    skill: Estimate
    given: float
    probe: str


@dataclass(frozen=True)
class Selectivity:
    """Score of one representation.

    Attributes:
        score: kept - left.
        kept: Share of the parameters to keep.
        left: Share of the parameters to forget.
        items: Results by parameter.
        resampled: Scores (resamples,) of resampled lenses.
    """

    score: Estimate
    kept: Estimate
    left: Estimate
    items: dict[str, Item]
    resampled: Array


def selectivity(
    kept: Mapping[str, Reading],
    rest: Mapping[str, Reading],
    *,
    controls: Sequence[Mapping[str, Reading]] = (),
    implied: Mapping[str, Reading] | None = None,
    lens: NDArray[np.int64],
    resamples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> Selectivity:
    """Return the score of predictions; the module's docstring defines it.

    Intervals are percentiles of bootstrap resamples of the lenses (Efron 1979, https://doi.org/10.1214/aos/1176344552).
    All parameters and the controls have the same resamples. The intervals describe the scatter between sets of test
    lenses, not between trainings.

    Args:
        kept: Predictions of the parameters to keep, by name.
        rest: Predictions of the parameters to forget, by name.
        controls: Predictions of the parameters to keep from each control, for the same lenses. The control with the
            highest skill counts.
        implied: Predictions of the parameters to forget from the true values of the parameters to keep, for the same
            lenses.
        lens: (n,) number of the lens in each image.
        resamples: Number of resamples.
        level: Probability that an interval contains the true value.
        seed: Random seed of the resamples.
    """
    # The first column has each lens once.
    weights = np.concatenate([np.ones((len(lens), 1)), *resample(lens, resamples, seed)], axis=1)
    sides, items = [], {}
    for is_kept, read, given in ((True, kept, controls), (False, rest, [implied or {}])):
        skills = {name: reading.skill(weights) for name, reading in read.items()}
        without: dict[str, Array] = {}
        for name, reading in ((n, each[n]) for each in given for n in read if n in each):
            value = reading.skill(weights)
            without[name] = np.fmax(without.get(name, value), value)
        for name, values in skills.items():
            off = float(without[name][0]) if name in without else np.nan
            items[name] = Item(is_kept, estimate(values[0], values[1:], level), off, read[name].probe)
        sides.append(share(skills, without))
    score = sides[0] - sides[1]
    of_score, of_kept, of_left = (estimate(each[0], each[1:], level) for each in (score, *sides))
    return Selectivity(of_score, of_kept, of_left, items, score[1:])


def share(skill: Mapping[str, Array], given: Mapping[str, Array]) -> Array:
    """Return the skill beyond the given skill, as a share of its maximum.

    Args:
        skill: Skills (resamples,) by parameter.
        given: Skills that do not count, (resamples,) by parameter; a missing parameter counts as 0.

    Returns:
        (resamples,), NaN if the given skill of each parameter is 1.
    """
    gained = left = np.zeros(1)
    for name, values in skill.items():
        reached = np.nan_to_num(values).clip(0, 1)
        off = np.nan_to_num(given.get(name, np.zeros(1))).clip(0, 1)
        gained, left = gained + (reached - off).clip(0), left + 1 - off
    with np.errstate(invalid="ignore"):
        return np.where(left > 1e-9, gained / np.where(left > 1e-9, left, 1), np.nan)


def difference(a: Selectivity, b: Selectivity, level: float = 0.95) -> Estimate:
    """Return the score of representation `a` minus the score of representation `b`.

    Both scores need the same lenses and resamples, so that the interval accounts for the correlation of the scores.
    """
    return estimate(a.score.value - b.score.value, a.resampled - b.resampled, level)
