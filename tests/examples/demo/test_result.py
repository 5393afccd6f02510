"""Tests of the last lines of `make demo`."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = "result"


def probed(folder: Path) -> Path:
    """Write results in the form of `lenskit probe`."""
    values = {"lensiam": 0.889, "simsiam": 0.756, "random": 0.63, "pixels": 0.5, "lensiam, no source": 0.16}
    rows = [
        {"label": label, "probe": probe, "judged": judged, "scores": {"theta_E": score(value - shift)}}
        for label, value in values.items()
        for probe, judged, shift in (("ridge", "", 0), ("kNN", "", 0.1), ("ridge", "wide theta_E", 0.2))
    ]
    constant = {"value": 0.0, "low": None, "high": None}
    rows.append({"label": "constant", "probe": "-", "judged": "", "scores": {"theta_E": {"r2": constant, "n": 1000}}})
    results = folder / "lensiam/evaluations/probe/results.json"
    results.parent.mkdir(parents=True)
    results.write_text(json.dumps({"rows": rows}))
    return folder


def score(value: float) -> dict[str, object]:
    return {"r2": {"value": value, "low": value - 0.01, "high": value + 0.02}, "n": 1000}


def test_ends_with_the_result_in_fifteen_lines(example: ModuleType, tmp_path: Path) -> None:
    probed(tmp_path / "runs")
    lines = example.lines(Path("runs"))
    assert len(lines) <= 15
    assert all(len(line) <= 80 for line in lines)
    figures = {line.split()[0]: line for line in lines[2:7]}
    assert [*figures] == ["lensiam", "simsiam", "random", "pixels", "constant"]
    assert "0.889  (95 %: 0.879 to 0.909)" in figures["lensiam"]
    assert figures["constant"].endswith("0.000")
    assert "1000 lenses" in lines[0]
    assert any("runs/report.html" in line for line in lines)


def test_runs_that_were_not_probed_are_named(example: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="lenskit probe runs/lensiam"):
        example.lines(Path("runs"))
