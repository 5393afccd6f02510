"""Code blocks of docs/guides/physics.md run, with the results of the page."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch

torch.set_num_threads(1)

DOCS = Path(__file__).parents[2] / "docs" / "guides" / "physics.md"
BLOCKS = re.findall(r"```python\n(.*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL)


def shapes(names: dict[str, Any], folder: Path) -> None:
    assert {names[name].shape for name in ("alpha_x", "alpha_y", "arcs", "mu")} == {(64, 110, 110)}


def fit(names: dict[str, Any], folder: Path) -> None:
    assert names["theta_E"].item() == pytest.approx(1.2, abs=1e-3)


def template(names: dict[str, Any], folder: Path) -> None:
    assert (names["system"].shape, names["system"].pixel_scale) == ((110, 110), 0.05)
    assert sorted(path.name for path in folder.iterdir()) == ["lens.json", "lens_image.fits"]


CLAIMS = (shapes, fit, template)


@pytest.mark.slow
@pytest.mark.parametrize(("block", "claim"), list(zip(BLOCKS, CLAIMS, strict=True)))
def test_every_block_does_what_it_says(block: str, claim: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    exec(compile(block, str(DOCS), "exec"), names)
    claim(names, tmp_path)
