"""Output fits the terminal, and no word or number is cut."""

from __future__ import annotations

import io
import re
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from lenskit.terminal import GAP, broken, counted, fit, print_table, width_of, wrapped

WIDTHS = (80, 100)

PARAMETERS = ("theta_E", "gamma", "gamma1", "gamma2", "e1", "e2", "center_x", "center_y")
PROBE = [["encoder", "probe", *PARAMETERS]] + [
    [encoder, probe, *["0.123 ±0.012 (0.034)"] * len(PARAMETERS)]
    for encoder in ("lensiam", "simsiam", "random encoder", "pixels (PCA)", "constant")
    for probe in ("ridge", "nearest neighbours", "small network")
]
WHY = [
    ["parameter", "why"],
    ["source_n", "it is the same in all lenses that the probe is fitted to, so nothing can be read off of it here"],
    ["lens_light_ellipticity", "fewer than 20 lenses have a value"],
]
RUNS = [
    ["run", "state", "batches", "best probe", "pairs/s", "method", "pairs", "recipe"],
    [
        "runs/lens-fixed-with-a-long-name",
        "finished",
        "240/240",
        "0.8123",
        "41.2",
        "simsiam",
        "lens-fixed",
        "quickstart",
    ],
    ["runs/b", "failed", "12/240", "-", "-", "simsiam", "default", "-"],
]
COMPARISON = [
    ["option", "runs/a", "/data/somewhere/far/away/in/a/deep/tree/of/folders/runs/b-of-another-day"],
    ["simulator.log_light_to_arc", "uniform(-1, 0.5)", "-"],
]
TABLES = {"probe": PROBE, "why": WHY, "runs": RUNS, "comparison": COMPARISON}


class Terminal(io.StringIO):
    """A stream that says it is a terminal; its width is in COLUMNS."""

    def isatty(self) -> bool:
        return True


def printed(table: list[list[str]], width: int, monkeypatch: pytest.MonkeyPatch, **options: Any) -> str:
    screen = Terminal()
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setattr(sys, "stdout", screen)
    print_table(table[0], table[1:], **options)
    monkeypatch.undo()
    return re.sub(r"\x1b\[[0-9;]*m", "", screen.getvalue())


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", TABLES)
def test_a_table_fits_and_cuts_no_word(name: str, width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    table = TABLES[name]
    text = printed(table, width, monkeypatch, title="A title " * 20, complete="the complete table is in table.md")
    assert all(cell_len(line) <= width for line in text.splitlines())
    kept = len(fit(table[0], table[1:], width))
    assert kept >= 2
    words = {word for row in table for cell in row[:kept] for word in cell.split() if "/" not in word}
    assert words <= set(text.split())
    assert ("not shown:" in text) == (kept < len(table[0]))
    if kept < len(table[0]):
        # The line that names the rest may be wrapped.
        assert " ".join(text.split()).endswith("; the complete table is in table.md")


@pytest.mark.parametrize("width", WIDTHS)
def test_a_figure_stays_in_one_line_with_its_interval(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    text = printed(PROBE, width, monkeypatch)
    assert "theta_E" in text
    assert "0.123 ±0.012 (0.034)" in text


def test_a_path_is_broken_after_a_slash() -> None:
    assert broken("/data/far/away/runs/b", 12) == "/data/far/\naway/runs/b"
    assert broken("abcdefgh", 3) == "abc\ndef\ngh"
    assert broken("two words", 5) == "two\nwords"


def test_nothing_is_left_out_of_what_fits() -> None:
    assert fit(["a", "b"], [["1", "22"]], 80) == [1, 2]
    # The header is wrapped before a column is left out.
    assert fit(["a", "two words"], [["1", "22"]], 8) == [1, 5]
    assert fit(["a", "b", "c"], [["x" * 30, "y" * 30, "z" * 30]], 80) == [30, 30]
    assert fit(["a", "b", "c"], [["x" * 30, "y" * 30, "z" * 30]], None) == [30, 30, 30]
    # A long path is broken rather than left out.
    assert fit(["a", "b", "c"], [["x" * 30, "y" * 20, "/data/of/another/day/" * 3]], 80) == [30, 20, 26]


def test_a_single_row_that_is_too_wide_is_printed_downwards(monkeypatch: pytest.MonkeyPatch) -> None:
    text = printed([["name", "first", "second"], ["a", "x" * 30, "y" * 30]], 40, monkeypatch)
    assert [line.split() for line in text.splitlines() if line.strip() and "─" not in line] == [
        ["name", "a"], ["first", "x" * 30], ["second", "y" * 30],
    ]  # fmt: skip


def test_more_rows_than_asked_for_are_counted(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    table = [["number"], *([str(n)] for n in range(100, 110))]
    text = printed(table, 80, monkeypatch, most=4)
    assert [row in text for (row,) in table[1:]] == [True] * 4 + [False] * 6
    assert "not shown: 6 more rows" in text
    # In a pipe all are printed.
    print_table(table[0], table[1:], most=4)
    assert "109" in capsys.readouterr().out


def test_a_bar_draws_nothing_outside_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with counted("stamps", 2) as advance:
        advance(1)
        sys.stderr.write("a message\n")
        advance(1)
    assert capsys.readouterr() == ("", "a message\n")


texts = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]) | st.just(" "), max_size=60)


@pytest.mark.slow
@given(st.data(), st.integers(2, 9), st.integers(1, 4), st.integers(30, 200))
def test_any_table_fits(data: st.DataObject, columns: int, rows: int, width: int) -> None:
    line = st.lists(texts, min_size=columns, max_size=columns)
    header, *cells = data.draw(st.lists(line, min_size=rows + 1, max_size=rows + 1))
    widths = fit(header, cells, width)
    assert 2 <= len(widths) <= columns
    assert sum(widths) + GAP * (len(widths) - 1) <= width
    for row in [header, *cells]:
        for cell, own in zip(row, widths, strict=False):
            assert all(cell_len(part) <= own for part in broken(cell, own).split("\n"))
            assert broken(cell, own).replace("\n", "").replace(" ", "") == cell.replace(" ", "")


@given(st.text(st.characters(categories=["L", "N"]) | st.sampled_from(" -/"), max_size=300), st.integers(20, 120))
def test_wrapping_breaks_at_spaces_only(text: str, width: int) -> None:
    lines = wrapped(text, width).split("\n")
    assert " ".join(lines).split() == text.split()
    assert all(len(line) <= width or " " not in line.strip() for line in lines)
    assert wrapped(text, None) == text


def test_only_a_terminal_has_a_width(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "93")
    assert width_of(io.StringIO()) is None
    assert width_of(Terminal()) == 93
    monkeypatch.delenv("COLUMNS")
    assert width_of(Terminal()) == 80
