"""Errors and their exit status."""

from __future__ import annotations

from lenskit.errors import LenskitError, UsageError


def test_usage_is_status_2_and_failure_1() -> None:
    assert (LenskitError.status, UsageError.status) == (1, 2)


def test_a_wrong_value_is_a_value_error_for_pythons_own_idioms() -> None:
    assert issubclass(UsageError, ValueError)
    assert issubclass(UsageError, LenskitError)
