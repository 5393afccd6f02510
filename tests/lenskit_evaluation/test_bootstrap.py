"""Tests of resamples against moments of the multinomial distribution."""

from __future__ import annotations

import numpy as np
import pytest

from lenskit_evaluation.bootstrap import Estimate, estimate, resample

LABEL = np.repeat([0, 2, 1], [200, 150, 50])


def counted(units: np.ndarray, resamples: int, seed: int, strata: np.ndarray | int = 0) -> np.ndarray:
    return np.concatenate(list(resample(units, resamples, seed, strata)), axis=1)


def test_each_class_keeps_its_number() -> None:
    counts = counted(np.arange(400), 40, 1, LABEL)
    assert counts.shape == (400, 40)
    for number in range(3):
        assert (counts[number == LABEL].sum(0) == (number == LABEL).sum()).all()
    # The counts are multinomial: mean 1 and variance close to 1.
    assert counts[LABEL == 0].var() == pytest.approx(1, abs=0.1)


def test_images_of_a_lens_are_drawn_together() -> None:
    names = np.array([f"J{number % 50}" for number in range(200)])
    counts = counted(names, 20, 1)
    np.testing.assert_array_equal(counts, np.tile(counts[:50], (4, 1)))
    assert (counts.sum(0) == 200).all()
    in_classes = counted(names, 20, 1, np.arange(200) % 50 % 2)
    assert (in_classes[::2].sum(0) == 100).all()


def test_resamples_are_the_same_in_blocks_of_any_size() -> None:
    whole = counted(np.arange(400), 40, 1, LABEL)
    blocks = list(resample(np.arange(400), 40, 1, LABEL, elements=7 * 400))
    assert len(blocks) == 6
    np.testing.assert_array_equal(np.concatenate(blocks, axis=1), whole)
    assert not np.array_equal(counted(np.arange(400), 40, 2, LABEL), whole)


def test_a_single_lens_has_no_resamples() -> None:
    assert counted(np.zeros(3), 40, 1).shape == (3, 0)
    assert str(estimate(0.5, np.empty(0))) == "0.500"


def test_an_estimate_of_several_fits_knows_their_spread() -> None:
    found = estimate([1.0, 3.0], np.append(np.arange(101.0), np.nan), level=0.9)
    assert (found.value, found.low, found.high, found.spread) == pytest.approx((2, 5, 95, 2**0.5))


def test_estimate_as_text() -> None:
    assert str(Estimate(0.91234, 0.9, 0.95)) == "0.912 (0.900 to 0.950)"
    assert str(Estimate(2.0)) == "2.000"
    assert str(estimate(np.nan, np.ones(3))) == "-"
