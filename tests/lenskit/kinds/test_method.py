"""Learning rate after a number of batches, compared with its closed form."""

from __future__ import annotations

from itertools import pairwise
from math import cos, pi

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lenskit.kinds.method import Budget, Method
from lenskit_toys.components import Restless, Tiny


def method(batches_per_epoch: int, epochs: int) -> Method:
    made = Restless(Tiny(1, 16))
    made.budget = Budget(batch_size=8, batches_per_epoch=batches_per_epoch, epochs=epochs)
    return made


def rates(made: Method, **group: float) -> list[float]:
    return [made.learning_rate({"peak_lr": 0.3, "lr": 0.0} | group, batch) for batch in range(made.budget.batches)]


def test_warm_up_and_cosine() -> None:
    """Linear rise over 2 epochs of 5 batches, then 0.3 (1 + cos(pi t)) / 2 over 40."""
    expected = [0.3 * (batch + 1) / 10 for batch in range(10)]
    expected += [0.3 * (1 + cos(pi * batch / 40)) / 2 for batch in range(40)]
    assert rates(method(5, 10), warmup_epochs=2) == pytest.approx(expected, rel=1e-12)


def test_cosine_alone() -> None:
    assert rates(method(5, 10)) == pytest.approx([0.3 * (1 + cos(pi * b / 50)) / 2 for b in range(50)], rel=1e-12)


def test_a_constant_group_keeps_its_peak() -> None:
    assert rates(method(5, 10), constant_lr=True, warmup_epochs=3) == [0.3] * 50


def test_a_warm_up_takes_half_of_the_run_at_most() -> None:
    assert rates(method(5, 2), warmup_epochs=10) == pytest.approx(
        [0.3 * (b + 1) / 5 for b in range(5)] + rates(method(5, 1))
    )
    assert rates(method(1, 1), warmup_epochs=10) == [0.3]


@given(st.integers(1, 9), st.integers(1, 12), st.floats(0, 15))
@settings(deadline=None)
def test_is_continuous_and_never_beyond_the_peak(batches_per_epoch: int, epochs: int, warmup_epochs: float) -> None:
    made = method(batches_per_epoch, epochs)
    drawn = rates(made, warmup_epochs=warmup_epochs)
    total = made.budget.batches
    warmup = min(round(warmup_epochs * batches_per_epoch), total // 2)
    assert max(drawn) == pytest.approx(0.3)
    assert drawn[warmup] == pytest.approx(0.3)
    assert drawn == sorted(drawn[:warmup]) + sorted(drawn[warmup:], reverse=True)
    # no step exceeds the steepest step of the warm-up or of the cosine
    largest = 0.3 * max(1 / max(warmup, 1), pi / 2 / (total - warmup))
    assert all(abs(a - b) <= largest + 1e-12 for a, b in pairwise(drawn))
    if total - warmup > 20:
        assert drawn[-1] < 0.3 * 0.01


def test_budget() -> None:
    assert Budget(batch_size=8, batches_per_epoch=5, epochs=10).batches == 50
