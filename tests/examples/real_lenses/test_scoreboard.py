"""The scoreboard of real lenses as one command, at a size of seconds; simulated lenses stand in for real ones."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from astropy.io import fits

import lenskit

torch.set_num_threads(1)

SCRIPT = "scoreboard"


@pytest.fixture
def lenses(tmp_path: Path) -> str:
    """A table of Einstein radii, rendered as FITS files."""
    (tmp_path / "lenses").mkdir()
    table = {"theta_E": [0.7 + 0.05 * i for i in range(12)]}
    images, _ = lenskit.render(table, "hst", set={"pixels": 101}, seed=1)
    for i, image in enumerate(images):
        fits.writeto(tmp_path / "lenses" / f"lens{i}.fits", image[0])
    lines = ["name,theta_E_arcsec", *(f"lens{i},{value}" for i, value in enumerate(table["theta_E"]))]
    (tmp_path / "lenses" / "labels.csv").write_text("\n".join(lines) + "\n")
    return f"fits-folder:{tmp_path / 'lenses'}?pixel_scale=0.05"


@pytest.mark.slow
def test_each_row_is_trained_and_judged_once(
    example: Any, lenses: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ["scoreboard.py", "--size", "smoke", "--data", lenses, "--work", str(tmp_path / "work")]
    monkeypatch.setattr(sys, "argv", [*command, "--out", str(tmp_path), "--rows", "multipole"])
    (tmp_path / "real-lenses-smoke.notes.md").write_text("64 lenses teach nothing.\n")
    example.main()
    told = json.loads((tmp_path / "real-lenses-smoke.json").read_text())
    (found,) = told["rows"]["multipole"]["recipe"]
    error = np.array(found["encoders"]["run"]["prediction"]) - found["truth"]
    text = (tmp_path / "real-lenses-smoke.md").read_text()
    assert f"| {np.abs(error).mean():.3f} |" in text
    assert "| the best constant |" in text
    assert text.endswith("64 lenses teach nothing.\n")

    made = {path: path.stat().st_mtime_ns for path in (tmp_path / "work").rglob("*.json")}
    example.main()
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "work").rglob("*.json")} == made


def test_an_unknown_row_is_told(example: Any, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.setattr(sys, "argv", ["scoreboard.py", "--data", "x", "--work", "y", "--rows", "sharp"])
    with pytest.raises(SystemExit):
        example.main()
    assert "--rows: sharp is none of unsharp+multipole" in capsys.readouterr().err
