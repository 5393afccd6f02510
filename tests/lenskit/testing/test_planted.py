"""Page of the planted faults."""

from __future__ import annotations

import pytest

from tests.lenskit.testing.planted import FAULTS, HEAD, PAGE, RULES, SOUND, heading, section

COSTLY = ("method", "evaluation", "format", "plugin")
"""Kinds whose tests take long. Their numbers of failed tests are counted only when the page is written."""


@pytest.mark.slow
@pytest.mark.parametrize("kind", RULES)
def test_the_page_is_up_to_date(kind: str) -> None:
    text, count = PAGE.read_text(), kind not in COSTLY
    part = text.partition(f"\n{heading(kind)}\n")[2].partition("\n## ")[0]
    rows = [line for line in part.splitlines() if line.startswith("| ")][1:]
    assert section(kind, count)[4:-1] == (rows if count else [f"{row.rpartition(' | ')[0]} |" for row in rows])
    assert text.startswith(HEAD)


def test_the_page_has_a_row_for_each_fault() -> None:
    rows = [line for line in PAGE.read_text().splitlines() if line.startswith("| ") and "a component that" not in line]
    assert len(rows) == len(FAULTS)


def test_no_two_components_have_the_same_name() -> None:
    names = [(one.kind, one.name) for one in (*SOUND, *FAULTS)]
    assert len({*names}) == len(names)
