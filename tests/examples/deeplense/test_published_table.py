"""Tests of the published table of DeepLense, with few images."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

torch.set_num_threads(1)

SCRIPT = "published_table"


@pytest.mark.slow
def test_the_table_has_ours_beside_the_published_and_is_made_once(
    example: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["published_table.py", "--size", "smoke", "--work", str(tmp_path / "work"), "--out", str(tmp_path)]
    command += ["--device", "cpu", "--models", "b", "--methods", "aae", "aae-1"]
    monkeypatch.setattr(sys, "argv", command)
    (tmp_path / "deeplense-smoke.notes.md").write_text("Sixteen lenses teach nothing.\n")
    example.main()
    told = json.loads((tmp_path / "deeplense-smoke.json").read_text())
    detectors = told["models"]["b"]["detectors"]
    assert {"aae", "PCA", "one-class SVM"} <= set(detectors)
    assert 0 <= detectors["aae"]["AUC"]["all anomalies"]["value"] <= 1
    assert detectors["aae"]["MSE"]["none"]["value"] > 0
    text = (tmp_path / "deeplense-smoke.md").read_text()
    assert "| 0.769 |" in text
    assert (tmp_path / "deeplense-smoke.png").is_file()
    assert text.endswith("Sixteen lenses teach nothing.\n")
    assert str(tmp_path) not in text

    made = {path: path.stat().st_mtime_ns for path in (tmp_path / "work").rglob("*.json")}
    example.main()
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "work").rglob("*.json")} == made
    monkeypatch.setattr(sys, "argv", [*command, "--epochs", "2"])
    with pytest.raises(SystemExit, match=r"epochs 1, not 2: choose a different --work"):
        example.main()


def test_every_published_figure_of_the_reference_stands_in_the_table(example: Any) -> None:
    """A detector with the published figures has equal numbers in both columns."""
    published = example.outcome.__globals__["PUBLISHED"]
    detectors = {
        name: {
            figure: {group: {"value": value, "low": value, "high": value} for group, value in values.items()}
            for figure, values in figures.items()
        }
        for name, figures in published["a"].items()
    }
    rows = example.markdown.__globals__["table"]({"detectors": detectors, "published": published["a"]})
    assert [row["detector"] for row in rows] == ["aae", "vae", "dcae", "rbm", "one-class SVM", "resnet18"]
    for row in rows:
        for column in ("AUC all anomalies", "W1 none", "MSE none"):
            assert row[column].split(" ")[0] == row[f"{column}, published"]
    assert rows[0]["AUC all anomalies"] == "0.932 (0.932 to 0.932)"


def test_a_number_that_is_none_is_said_before_anything_is_made(
    example: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["published_table.py", "--size", "smoke", "--work", str(tmp_path / "work"), "--epochs", "0"]
    monkeypatch.setattr(sys, "argv", command)
    with pytest.raises(SystemExit):
        example.main()
    assert "--epochs must be 1 or more" in capsys.readouterr().err
    assert not (tmp_path / "work").exists()
