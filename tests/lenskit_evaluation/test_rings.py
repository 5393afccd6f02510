"""Rings lie where the radius was predicted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.patches import Circle, Wedge

from lenskit.errors import UsageError
from lenskit_evaluation.predict import Predict
from lenskit_evaluation.rings import draw_rings


def test_each_image_has_its_ring_about_the_middle() -> None:
    images = torch.randn(7, 1, 41, 41, generator=torch.Generator().manual_seed(0))
    radius = np.array([0.5, 1.0, 0.8, np.nan, 0.2, 0.3, 0.4])
    figure = draw_rings(images, radius, 0.1, names=list("abcdefg"), pixel_scale=0.05)
    panels = [panel for panel in figure.axes if panel.images]
    assert len(panels) == 7
    for panel, value in zip(panels, radius, strict=True):
        circles = [patch for patch in panel.patches if isinstance(patch, Circle)]
        assert [circle.radius for circle in circles] == ([] if np.isnan(value) else [pytest.approx(value / 0.05)])
        assert all(circle.center == (20, 20) for circle in circles)
    (band,) = (patch for patch in panels[1].patches if isinstance(patch, Wedge))
    assert (band.r, band.width) == (pytest.approx(22), pytest.approx(4))


def test_another_ending_is_refused_before_any_work(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--rings takes the name of a PNG file"):
        Predict(rings=str(tmp_path / "rings.jpg"))([None])  # type: ignore[list-item]
