"""Each verb has a page in docs/how-to."""

from __future__ import annotations

from pathlib import Path

from lenskit.registry import registry
from lenskit.verbs import VERBS

HOW_TO = Path(__file__).parents[2] / "docs" / "how-to"

ELSEWHERE = {"plugin", "plugins"}
"""Verbs that docs/plugins explains."""


def test_every_verb_has_a_page_and_every_page_is_in_the_index() -> None:
    evaluations = {r.name for r in registry().of_kind("evaluation") if r.plugin.distribution == "lenskit-ssl"}
    pages = {page.stem for page in HOW_TO.glob("*.md")} - {"index"}
    assert (VERBS.keys() | evaluations) - ELSEWHERE <= pages
    index = (HOW_TO / "index.md").read_text(encoding="utf-8")
    assert sorted(page for page in pages if f"]({page}.md" not in index) == []
