from __future__ import annotations

import csv
import io

from lenskit.evaluation import to_csv, to_markdown
from lenskit.evaluations.tables import show

ROWS = [{"run": "a|b", "R2": 1 / 3}, {"run": "constant", "n": 20}]


def test_markdown():
    assert to_markdown(ROWS) == (
        "| run | R2 | n |\n| --- | --- | --- |\n| a\\|b | 0.333 |  |\n| constant |  | 20 |\n"
    )  # fmt: skip


def test_csv_is_read_back_the_same():
    first, second = csv.DictReader(io.StringIO(to_csv(ROWS)))
    assert (first["run"], float(first["R2"]), first["n"]) == ("a|b", 1 / 3, "")
    assert (second["run"], second["R2"], second["n"]) == ("constant", "", "20")


def test_shown_in_full_where_there_is_no_terminal(capsys):
    rows = [{"run": "a", **{f"column {number}": number / 3 for number in range(60)}}]
    show([*rows, *ROWS], "Probe", "table.md")
    text = capsys.readouterr().out
    assert all(word in text for word in ("Probe", "run", "a|b", "0.333", "constant", "20", "column 59", "19.667"))
    assert "not shown" not in text
    assert max(map(len, text.splitlines())) > 500
