"""Files of plain values give valid values, or one line with file and field."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lenskit.errors import LenskitError, UsageError
from lenskit.records import LARGEST, Record, checked, load_json, load_toml, parse_json, parse_toml


class Inner(Record):
    count: int


class Outer(Record):
    inner: Inner
    scale: float = 1.0


def test_what_is_read_is_what_the_file_says(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(b'\xef\xbb\xbf{"inner": {"count": 3, "more": [1.5]}, "scale": 2, "other": null}')
    found = load_json(tmp_path / "a.json", Outer)
    assert found == {"inner": {"count": 3, "more": [1.5]}, "scale": 2, "other": None}
    (tmp_path / "a.toml").write_bytes(b"\xef\xbb\xbf[inner]\ncount = 3\n")
    assert load_toml(tmp_path / "a.toml", Outer) == {"inner": {"count": 3}}


JSON = {
    "": "is no valid JSON: ",
    "{": "is no valid JSON: ",
    "\0": "is no valid JSON: ",
    "[]": "holds no object",
    "null": "holds no object",
    "{}": "lacks the field inner",
    '{"inner": {}}': "lacks the field inner.count",
    '{"inner": 3}': "has a wrong field inner: ",
    '{"inner": {"count": "3"}}': "has a wrong field inner.count: should be a valid integer, got '3'",
    '{"inner": {"count": true}}': "has a wrong field inner.count: ",
    '{"inner": {"count": 1.5}}': "has a wrong field inner.count: ",
    '{"inner": {"count": 1}, "scale": NaN}': "has a wrong field scale: should be a finite number",
    '{"inner": {"count": 1}, "scale": -Infinity}': "has a wrong field scale: ",
    '{"inner": {"count": 1}, "scale": 1e999}': "has a wrong field scale: ",
    '{"inner": {"count": 1}, "inner": {"count": 2}}': "the field inner occurs twice",
    f'{{"inner": {{"count": {"9" * 5000}}}}}': "is no valid JSON: ",
    f'{{"inner": {{"count": {"9" * 50}}}}}': "field inner.count: a whole number of more than 64 bits",
    f'{{"other": {{"list": [0, {"9" * 50}]}}}}': r"field other.list\[1\]: a whole number of more than 64 bits",
    "[" * 100_000: "nested more than 64 levels deep",
    '{"a":' * 500 + "1" + "}" * 500: "nested more than 64 levels deep",
    r'{"other": "\ud800"}': "field other: text that is no valid Unicode",
    r'{"\ud800": 1}': "text that is no valid Unicode",
}


@pytest.mark.parametrize("text", JSON, ids=lambda text: text[:40])
def test_wrong_json_is_one_line(text: str, tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(text)
    with pytest.raises(LenskitError, match=JSON[text]) as caught:
        load_json(path, Outer)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value).replace(str(tmp_path), "")) < 400


TOML = {
    "a = ": "is no valid TOML: ",
    "a = 1\na = 2": "is no valid TOML: ",
    f"a = {'9' * 5000}": "is no valid TOML: ",
    f"a = 0x{'f' * 9000}": "field a: a whole number of more than 64 bits",
    "a = " + "[" * 3000: "nested more than 64 levels deep",
    ".".join("a" * 50_000) + " = 1": "nested more than 64 levels deep",
}


@pytest.mark.parametrize("text", TOML, ids=lambda text: text[:20])
def test_wrong_toml_is_one_line(text: str) -> None:
    with pytest.raises(UsageError, match=TOML[text]) as caught:
        parse_toml(text, "a.toml", error=UsageError)
    assert str(caught.value).startswith("a.toml ")
    assert len(str(caught.value)) < 400


def test_what_cannot_be_read_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(LenskitError, match=r"a\.json cannot be read: No such file"):
        load_json(tmp_path / "a.json")
    (tmp_path / "a.json").mkdir()
    with pytest.raises(LenskitError, match=r"a\.json cannot be read: Is a directory"):
        load_json(tmp_path / "a.json")
    (tmp_path / "b.json").write_bytes(b"\xff\xfe{}")
    with pytest.raises(LenskitError, match=r"b\.json is no valid JSON: it is not UTF-8 at byte 0"):
        load_json(tmp_path / "b.json")
    with (tmp_path / "c.toml").open("wb") as file:
        file.truncate(LARGEST["TOML"] + 1)
    with pytest.raises(LenskitError, match=r"c\.toml is larger than 1 MiB"):
        load_toml(tmp_path / "c.toml")


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.sampled_from(["inner", "count", "scale"]), inner),
)


@pytest.mark.slow
@settings(max_examples=50, deadline=None)
@given(VALUES)
def test_any_value_is_an_error_of_ours_or_what_it_was(value: Any) -> None:
    text = json.dumps(value)
    try:
        found = parse_json(text, "a.json", Outer)
    except LenskitError:
        return
    assert isinstance(found["inner"]["count"], int)
    assert json.dumps(found) == text


def test_values_of_other_files_are_checked_alike() -> None:
    with pytest.raises(LenskitError, match="the card lacks the field inner"):
        checked({"scale": 1.0}, "the card", Outer)
