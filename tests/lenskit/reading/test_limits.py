"""The memory limit, and the advice of its error message."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from lenskit.errors import LenskitError, UsageError
from lenskit.reading.limits import MAX_BYTES, VARIABLE, check_bytes, max_bytes


def test_what_is_too_large_is_allowed_by_what_the_message_says(monkeypatch: pytest.MonkeyPatch) -> None:
    check_bytes("a.h5", MAX_BYTES)
    with pytest.raises(LenskitError, match=r"^a.h5: images takes 4294967297 bytes .* limit of 4294967296; if") as error:
        check_bytes("a.h5", MAX_BYTES + 1, "images")
    name, value = re.search(r"(\w+)=(\d+)$", str(error.value)).groups()
    monkeypatch.setenv(name, value)
    check_bytes("a.h5", MAX_BYTES + 1, "images")


def test_no_part_of_a_file_is_too_large_that_is_not_larger_than_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "10")
    Path("a").write_bytes(b"x" * 100)
    check_bytes("a", 100)
    with pytest.raises(LenskitError, match="limit of 10"):
        check_bytes("a", 101)


@pytest.mark.parametrize("text", ["1e9", "-1", "0", "4G", "²", "1_000"])
def test_the_limit_is_a_positive_number(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv(VARIABLE, text)
    with pytest.raises(
        UsageError, match=r"LENSKIT_MAX_BYTES must be a positive number of bytes, such as 4294967296, not"
    ):
        max_bytes()
    monkeypatch.setenv(VARIABLE, "")
    assert max_bytes() == MAX_BYTES
