"""Test of the table of labelled lenses, with few simulated lenses."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

torch.set_num_threads(1)

SCRIPT = "labels"


@pytest.mark.slow
def test_both_ways_are_judged_once_on_the_same_lenses(
    example: Any, lenses: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ["labels.py", "--size", "smoke", "--data", lenses, "--work", str(tmp_path / "work")]
    monkeypatch.setattr(sys, "argv", [*command, "--out", str(tmp_path)])
    example.main()
    rows = json.loads((tmp_path / "real-lenses-labels-smoke.json").read_text())["rows"]
    text = (tmp_path / "real-lenses-labels-smoke.md").read_text()
    assert list(rows) == ["supervised, 64", "VICReg, lens-fixed, 64"]
    for (found,) in rows.values():
        assert sorted(found["truth"]) == pytest.approx([0.7 + 0.05 * i for i in range(12)])
        assert f"| {np.abs(np.subtract(found['prediction'], found['truth'])).mean():.3f} |" in text

    made = {path: path.stat().st_mtime_ns for path in (tmp_path / "work").rglob("*.json")}
    example.main()
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "work").rglob("*.json")} == made
