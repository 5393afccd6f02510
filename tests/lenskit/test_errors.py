"""Errors and their exit status."""

from __future__ import annotations

import errno

import pytest

from lenskit.errors import LenskitError, UsageError, too_many_files


def test_usage_is_status_2_and_failure_1() -> None:
    assert (LenskitError.status, UsageError.status) == (1, 2)


def test_a_wrong_value_is_a_value_error_for_pythons_own_idioms() -> None:
    assert issubclass(UsageError, ValueError)
    assert issubclass(UsageError, LenskitError)


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE])
def test_no_file_is_to_blame_if_too_many_are_open(number: int) -> None:
    assert "ulimit -n" in str(too_many_files(OSError(number, "Too many open files", "a.fits")))
    assert "a.fits" not in str(too_many_files(OSError(number, "Too many open files", "a.fits")))
    assert too_many_files(OSError(errno.ENOENT, "No such file", "a.fits")) is None
    assert too_many_files(ValueError("no")) is None
