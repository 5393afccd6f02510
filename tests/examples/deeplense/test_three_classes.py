"""Tests of the table of three classes, with few images."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

torch.set_num_threads(1)

SCRIPT = "three_classes"


@pytest.mark.slow
def test_the_table_has_each_row_beside_the_published_and_is_made_once(
    example: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ["three_classes.py", "--size", "smoke", "--work", str(tmp_path / "work"), "--out", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", [*command, "--accelerator", "cpu"])
    example.main()
    told = json.loads((tmp_path / "three-classes-smoke.json").read_text())
    assert set(told["models"]["2"]) == {"simsiam-default-pairs", "simsiam-substructure-fixed-pairs", "supervised"}
    text = (tmp_path / "three-classes-smoke.md").read_text()
    assert "| BYOL (published) | 1.00 | 0.98 | 1.00 | - |" in text
    assert str(tmp_path) not in text
    made = {path: path.stat().st_mtime_ns for path in (tmp_path / "work").rglob("*.json")}
    example.main()
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "work").rglob("*.json")} == made


def test_areas_are_scikit_learns(example: Any) -> None:
    rng = np.random.default_rng(0)
    truth = rng.integers(3, size=90)
    probability = rng.dirichlet([1, 1, 1], 90)
    for number, name in enumerate(example.CLASSES):
        area = example.areas(probability, truth)[name]
        assert area["value"] == pytest.approx(roc_auc_score(truth == number, probability[:, number]))
        assert area["low"] < area["value"] < area["high"]
