"""Verb `lenskit list`."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from lenskit.component import KINDS
from lenskit.registry import registry


def test_lists_every_component_under_its_kind(lenskit: Callable[..., Any]) -> None:
    lines = lenskit("list").out.splitlines()
    headings = [line.removesuffix(":") for line in lines if not line.startswith(" ")]
    assert headings == list(KINDS.values())
    listed = {line.split()[0] for line in lines if line.startswith(" ")}
    assert listed == {record.title for record in registry().records}
    assert "timm:MODEL" in listed


def test_says_which_components_are_of_third_parties(lenskit: Callable[..., Any]) -> None:
    lines = {line.split()[0]: line for line in lenskit("list").out.splitlines()}
    assert lines["blobs"].endswith("  [lenskit-ssl-toys]")
    assert "[" not in lines["hst"]


@pytest.mark.parametrize(("kind", "plural"), KINDS.items())
def test_lists_one_kind_by_either_of_its_names_as_text_and_json(
    kind: str, plural: str, lenskit: Callable[..., Any]
) -> None:
    text = lenskit("list", plural).out
    assert text == lenskit("list", kind).out
    assert text.startswith(f"{plural}:\n")
    records = json.loads(lenskit("list", plural, "--json").out)
    assert [record["name"] for record in records] == [line.split()[0] for line in text.splitlines()[1:]]
    assert {record["kind"] for record in records} == {kind}
    keys = {"kind", "name", "summary", "target", "plugin", "distribution", "version"}
    assert all(set(record) == keys and all(record.values()) for record in records)


def test_an_unknown_kind(lenskit: Callable[..., Any]) -> None:
    assert lenskit("list", "metods").complaint() == (
        f"there is no kind 'metods' (did you mean methods?); there are {', '.join(KINDS.values())}"
    )


def test_nothing_is_there_to_list(monkeypatch: pytest.MonkeyPatch, lenskit: Callable[..., Any]) -> None:
    monkeypatch.setenv("LENSKIT_PLUGINS", "")
    registry.cache_clear()
    assert lenskit("list").out == ""
    assert json.loads(lenskit("list", "--json").out) == []
    registry.cache_clear()
