"""Code blocks of docs/how-to/python.md run one after the other."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

torch.set_num_threads(1)

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "python.md"
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)


@pytest.mark.slow
def test_every_block_does_what_it_says() -> None:
    found: list[dict[str, Any]] = []
    for block in BLOCKS:
        names: dict[str, Any] = {}
        exec(compile(block, str(PAGE), "exec"), names)
        found.append(names)
    trained, opened, embedded, judged, searched, exported = found
    assert trained["run"].finished
    assert trained["run"].config.sections["simulator"]["theta_E"] == "uniform(0.8, 1.8)"
    images = torch.randn(2, 1, 110, 110)
    features = opened["encoder"](images)
    assert embedded["features"].shape == (5, features.shape[1])
    assert embedded["parameters"]["theta_E"].min() >= 0.8
    assert judged["some"].shape == (50, features.shape[1])
    assert judged["mine"].features.shape == (100, 8)
    assert set(judged["mine"].values) == set(judged["found"]["lensiam"].values)
    assert np.isfinite(searched["search"].predict(images.numpy())).all()
    stretched = opened["encoder"].preprocess(images)
    with torch.inference_mode():
        theirs = exported["model"](stretched)
    torch.testing.assert_close(theirs, features.detach(), atol=1e-5 * features.abs().max().item(), rtol=0)
