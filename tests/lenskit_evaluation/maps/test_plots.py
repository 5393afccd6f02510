from __future__ import annotations

import numpy as np
import pytest
from matplotlib.figure import Figure

from lenskit.plugin import Parameter
from lenskit_evaluation.bootstrap import Estimate
from lenskit_evaluation.maps.feature_map import Local, Trust
from lenskit_evaluation.maps.plots import umap_figure


def drawn(classes: int, labels: tuple[str, ...] = ("a", "b")) -> Figure:
    """Return maps of 120 images, coloured by a number and by classes."""
    rng = np.random.default_rng(0)
    maps = {label: rng.normal(size=(120, 2)) for label in labels}
    parameters = [
        Parameter("theta_E", "arcsec"),
        Parameter("psf", classes=tuple(f"psf {i:02}" for i in range(classes))),
    ]
    values = {"theta_E": rng.uniform(size=120), "psf": np.arange(120.0) % classes}
    told = {
        "theta_E": Local("R2", Estimate(0.9), 0, 120, 0),
        "psf": Local("accuracy", Estimate(0.9, 0.8, 0.95), 0.03, 100, 20),
    }
    figure = umap_figure(
        maps, dict.fromkeys(labels, values), parameters,
        trust=dict.fromkeys(labels, Trust(0.953, 10_000, 15)), local=dict.fromkeys(labels, told), title="Maps",
    )  # fmt: skip
    figure.draw_without_rendering()
    return figure


@pytest.mark.slow
@pytest.mark.parametrize(("classes", "listed"), [(2, True), (8, True), (9, True), (20, True), (21, False), (40, False)])
def test_each_class_has_a_colour_of_its_own(classes: int, listed: bool) -> None:
    figure = drawn(classes)
    points = figure.axes[1].collections[-1]
    assert len(np.unique(points.get_facecolor(), axis=0)) == classes
    legend = figure.axes[3].get_legend()
    if listed:
        assert [text.get_text() for text in legend.get_texts()] == [f"psf {i:02}" for i in range(classes)]
    else:
        assert legend is None
        bar = figure.axes[-1]
        assert bar.get_xlabel() == f"{classes} classes; adjacent colours are similar"
        assert [text.get_text() for text in bar.get_xticklabels()] == [
            "psf 00", f"psf {(classes - 1) // 2:02}", f"psf {classes - 1:02}",
        ]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("classes", [2, 20, 30])
def test_words_beside_and_beneath_panels_are_apart_and_within_the_picture(classes: int) -> None:
    labels = ("lens-fixed-vit-small-on-euclid-0", "lens-fixed-vit-small-on-euclid-1")
    figure = drawn(classes, labels)
    panels = np.array(figure.axes[:4]).reshape(2, 2)
    rows = [panel.yaxis.label.get_window_extent() for panel in panels[:, 0]]
    assert not rows[0].overlaps(rows[1])
    for row in panels:
        beneath = [panel.xaxis.label.get_window_extent() for panel in row]
        assert not beneath[0].overlaps(beneath[1])
        assert row[0].get_window_extent().y1 == pytest.approx(row[1].get_window_extent().y1)
    for text in [*(panel.xaxis.label for panel in figure.axes), *(panel.yaxis.label for panel in figure.axes)]:
        if text.get_text():
            box = text.get_window_extent()
            assert box.x0 >= 0, text.get_text()
            assert box.y0 >= 0, text.get_text()
            assert box.x1 <= figure.bbox.x1, text.get_text()
