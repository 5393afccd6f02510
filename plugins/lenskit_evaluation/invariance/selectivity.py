"""One score of how far a representation kept what its pairs share and forgot the rest.

What can be read off features is a skill from 0 to 1 for each parameter: R2, or Cohen's kappa of a class. Not all of it
is to the representation's credit, or against it:

- Of what is to be kept, some is **given away** by something simpler: the lens light follows the mass, so e1, e2 and the
  centre are read off images that show no arc at all. How well, the control says: the same scenes without their source,
  seen by the same representation or as pixels, whichever tell more. (With the former alone, a representation that
  overlooks the lens light would be asked to find the ellipticity elsewhere, and one that sees it would not.)
- Of what is to be forgotten, some is **implied** by what is kept: a steeper lens magnifies less. How well, a probe says
  that is given the true values of what is kept.

So the figure of a side is pooled over its parameters: of all that is left to be found once this is taken off, the share
that is found,

    share = sum of max(0, skill - given) / sum of (1 - given),

where skill and given are clipped to 0..1. It is the mean skill if nothing is given, and a parameter that is given away
entirely counts nothing: neither for a representation nor against it. This is conservative: what the arcs tell of e1
beyond what the light tells does not count unless the sum of both is the better.

`kept` is the share of what is to be kept, `left` that of what is to be forgotten, and the score is kept - left. It is 1
for features of the lens alone, -1 for features of all but the lens, and 0 for those that show no preference: that tell
everything, or nothing (a collapsed encoder). It is a difference, so that what tells two runs apart can be told apart,
too; which of both it is, `kept` and `left` say.
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
    """One parameter.

    Attributes:
        kept: Whether it is to be kept.
        skill: How well it is read off: R2, or Cohen's kappa.
        given: How well it is read off without looking: off a control, if it is to be kept, or else off the true values
            of what is kept. Not a number where this is not known; it counts as 0 then.
        probe: What it was read off with.
    """

    kept: bool
    skill: Estimate
    given: float
    probe: str


@dataclass(frozen=True)
class Selectivity:
    """What was kept, and what was left of the rest.

    Attributes:
        score: kept - left.
        kept: Share of what is to be kept.
        left: Share of what is to be forgotten.
        items: Each parameter by name.
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
    """Scores what was read off the features of some lenses; see above.

    Intervals are percentiles of bootstrap resamples of the lenses (Efron 1979, https://doi.org/10.1214/aos/1176344552),
    the same for all parameters and for the control. They say how the figures would scatter with other test lenses, not
    with another training.

    Args:
        kept: What was read of the parameters that are to be kept, by name.
        rest: Of those that are to be forgotten.
        controls: What was read of the first off the control, by any means; of the same lenses. The best counts.
        implied: What was read of the second off the true values of the first; of the same lenses.
        lens: (n,), the lens that each image shows.
        resamples: Number of resamples.
        level: Probability that the intervals contain.
        seed: Seed of the resamples.
    """
    # The first column is the lenses themselves.
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
    """Of what is left to be found, the share that is found.

    Args:
        skill: Skills (resamples,) by parameter.
        given: Those that take no representation; 0 where absent.

    Returns:
        (resamples,), NaN where nothing is left to be found.
    """
    gained = left = np.zeros(1)
    for name, values in skill.items():
        reached = np.nan_to_num(values).clip(0, 1)
        off = np.nan_to_num(given.get(name, np.zeros(1))).clip(0, 1)
        gained, left = gained + (reached - off).clip(0), left + 1 - off
    with np.errstate(invalid="ignore"):
        return np.where(left > 1e-9, gained / np.where(left > 1e-9, left, 1), np.nan)


def difference(a: Selectivity, b: Selectivity, level: float = 0.95) -> Estimate:
    """The score of one representation minus that of another, of the same lenses: its interval is narrower than both."""
    return estimate(a.score.value - b.score.value, a.resampled - b.resampled, level)
