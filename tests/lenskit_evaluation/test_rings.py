"""Tests of rings at predicted Einstein radii."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.patches import Circle, Wedge

import lenskit
from lenskit.errors import UsageError
from lenskit_evaluation.rings import draw_rings


@pytest.mark.slow
def test_each_image_has_its_ring_about_the_middle() -> None:
    images = torch.randn(7, 1, 41, 41, generator=torch.Generator().manual_seed(0))
    radius = [0.5, 1.0, 0.8, np.nan, 0.2, 0.3, 0.4]
    figure = draw_rings(list(images), radius, 0.1, names=list("abcdefg"), pixel_scale=0.05)
    panels = [panel for panel in figure.axes if panel.images]
    assert len(panels) == 7
    for panel, value in zip(panels, radius, strict=True):
        circles = [patch for patch in panel.patches if isinstance(patch, Circle)]
        assert [circle.radius for circle in circles] == ([] if np.isnan(value) else [pytest.approx(value / 0.05)])
        assert all(circle.center == (20, 20) for circle in circles)
    (band,) = (patch for patch in panels[1].patches if isinstance(patch, Wedge))
    assert (band.r, band.width) == (pytest.approx(22), pytest.approx(4))


def test_images_may_differ_in_size() -> None:
    images = [torch.randn(1, size, size, generator=torch.Generator().manual_seed(size)) for size in (20, 31)]
    figure = draw_rings(images, [0.3, 0.3], None, names=["a", "b"], pixel_scale=0.1)
    assert [panel.images[0].get_array().shape for panel in figure.axes] == [(20, 20), (31, 31)]
    with pytest.raises(UsageError, match="needs images of 16 pixels or more, these have 12 x 12"):
        draw_rings([torch.zeros(1, 12, 12)], [0.3], None, names=["a"], pixel_scale=0.1)


def test_another_ending_is_refused_before_any_image_is_read(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--rings takes the name of a PNG file"):
        lenskit.evaluate("predict", "hst-lens", ["there is none"], rings=str(tmp_path / "rings.jpg"))
