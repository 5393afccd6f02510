"""Integers that floats cannot represent, compared with Python's exact integers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lenskit.reading.whole import first_inexact, whole_numbers


@given(st.lists(st.integers(-(2**63), 2**63 - 1)), st.sampled_from([np.float32, np.float64]))
def test_the_first_that_changes_is_found(values: list[int], kind: type) -> None:
    expected = next((value for value in values if int(kind(value)) != value), None)
    assert first_inexact(values, kind) == first_inexact(np.array(values, np.int64), kind) == expected


@pytest.mark.parametrize("value", [2**64 - 1, 2**53 + 1, 2**63 + 5])
def test_unsigned_numbers(value: int) -> None:
    assert first_inexact(np.array([3, value], np.uint64), np.float64) == value
    assert first_inexact(np.array([3, 2**63], np.uint64), np.float64) is None
    assert first_inexact([10**400], np.float64) == 10**400


def test_only_digits_are_whole_numbers() -> None:
    assert whole_numbers(["1", "-2", "+3", "0012"]) == [1, -2, 3, 12]
    assert all(whole_numbers(["1", cell]) is None for cell in ("1.0", "1e3", "", "1_2", "١"))
