"""Rules of plain English that a program can check (CONTRIBUTING.md)."""

from __future__ import annotations

import pytest

from tests.docs.plain_english import ROOT, Text, breaches, files, texts

CHECKED = ("lenskit", "plugins", "examples", "tests", "docs", "README.md", "CONTRIBUTING.md", "CHANGELOG.md")


@pytest.mark.parametrize("place", CHECKED)
def test_no_text_breaks_a_rule(place: str) -> None:
    found = [
        f"{path.relative_to(ROOT)}:{text.line}: {text.kind} {breach}"
        for path in files([ROOT / place])
        for text in texts(path)
        for breach in breaches(text)
    ]
    assert found == []


@pytest.mark.parametrize(
    ("kind", "text", "breach"),
    [
        ("docstring", "What the pixels are.", "begins with 'What'"),
        ("docstring", "Writes a file.", "begins with 'Writes': use the imperative"),
        ("docstring", "Return the file beside another.", "has 'beside'"),
        ("docstring", "Return " + 80 * "x" + ".", "first line has 88 characters, over 80"),
        ("message", "train the network anew", "has 'anew'"),
        ("page", "It shows what was wrong.", "has a clause with 'what': 'It shows what was wrong.'"),
    ],
)
def test_each_rule_notices_a_breach(kind: str, text: str, breach: str) -> None:
    assert breach in [*breaches(Text(ROOT, 1, kind, text))]


@pytest.mark.parametrize("text", ["What did it learn?", "Return `what` it is.", 'The text "what" is quoted.'])
def test_questions_code_and_quotations_pass(text: str) -> None:
    assert [*breaches(Text(ROOT, 1, "page", text))] == []
