"""Pictures of `lenskit anomaly`."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import pytest

from lenskit_evaluation.anomaly.metrics import TOGETHER, Judged, judge
from lenskit_evaluation.anomaly.plots import WIDE, reconstructions, roc_curves, score_histograms
from lenskit_evaluation.anomaly.scored import Scored, Shown, Truth

LABEL = np.repeat([0, 1, 2], [60, 40, 20])
TRUTH = Truth(("none", "spherical", "vortex"), LABEL, "none")


@pytest.fixture(scope="module")
def judged() -> Judged:
    scores = np.random.default_rng(0).normal(size=120) + LABEL
    scored = {"line": Scored(scores, "score"), "ratios": Scored(np.exp(3 * scores), "reconstruction error")}
    scored["odd"] = Scored(np.where(LABEL == 2, np.inf, 0.0), "score")
    return judge(TRUTH, scored, resamples=100)


def test_curves_are_those_of_the_table(judged: Judged) -> None:
    figure = roc_curves(judged)
    assert len(figure.axes) == 6
    titles = [axes.get_title() for axes in figure.axes[:3]]
    assert titles == [f"none against {name}" for name in ("spherical", "vortex", TOGETHER)]
    assert [axes.get_xscale() for axes in figure.axes] == ["linear"] * 3 + ["log"] * 3
    for axes, group in zip(figure.axes[:3], (*TRUTH.anomalies, TOGETHER), strict=True):
        curve = judged.detectors["line"].figures[group].curve
        line = axes.lines[0]
        np.testing.assert_allclose(line.get_xdata(), curve.false_positive, atol=1e-9)
        np.testing.assert_array_equal(line.get_ydata(), curve.true_positive)
        # Two detectors that rank images in the same order have the same curve.
        np.testing.assert_array_equal(axes.lines[1].get_ydata(), line.get_ydata())
    texts = [text.get_text() for text in figure.legends[0].get_texts()]
    assert texts[0] == f"line: AUC {judged.detectors['line'].together.auc}"


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    "scores",
    [
        np.where(LABEL > 0, 1e308, -1e308), np.where(LABEL > 0, 1e308, 1e-308), 1e-320 * (1 + LABEL), 1e20 + 0 * LABEL,
        1e20 + 16384 * LABEL, np.where(LABEL > 0, np.inf, -np.inf), 0.3 + 0 * LABEL,
    ],
)  # fmt: skip
def test_scores_of_any_size_are_drawn(scores: np.ndarray) -> None:
    figure = score_histograms(judge(TRUTH, {"a": Scored(scores, "score")}, resamples=100))
    figure.savefig(BytesIO(), format="png")
    low, high = figure.axes[0].get_xlim()
    assert low < high
    # All images of a class are in one bin, so that each outline reaches 1.
    assert [patch.get_xy()[:, 1].max() for patch in figure.axes[0].patches] == pytest.approx([1, 1, 1])


@pytest.mark.slow
def test_labels_are_on_the_page() -> None:
    scores = np.random.default_rng(0).normal(size=120)
    figure = score_histograms(judge(TRUTH, {name: Scored(scores, "score") for name in "abcd"}, resamples=100))
    for axes in figure.axes:
        axes.set_yticks([0, 0.025])
    figure.savefig(BytesIO(), format="png")
    for axes in (figure.axes[0], figure.axes[3]):
        assert axes.yaxis.label.get_window_extent().x0 > 0


def test_every_image_is_in_a_histogram(judged: Judged) -> None:
    figure = score_histograms(judged)
    assert [axes.get_xscale() for axes in figure.axes] == ["linear", "log", "linear"]
    for axes in figure.axes:
        for patch, label in zip(axes.patches, ("none", "spherical", "vortex"), strict=True):
            assert patch.get_label() == label
            # The outline of a histogram has two points a bin; their heights are the shares.
            x, y = patch.get_xy().T
            top = y[1 : np.argmax(x) + 1 : 2] if label == "none" else y[1:-1:2]
            assert top.sum() == pytest.approx(1)
    scores = judged.detectors["ratios"].scored.scores
    assert np.quantile(scores, 0.999) > WIDE * np.quantile(scores, 0.001)


@pytest.mark.slow
def test_a_residual_is_what_is_left(judged: Judged) -> None:
    rng = np.random.default_rng(0)
    images = rng.random((4, 2, 8, 8))
    made = images - rng.normal(size=images.shape) * 0.1
    shown = Shown(("none", "none", "vortex", "vortex"), {"a": images, "b": images / 2}, {"a": made, "b": made})
    figure = reconstructions(shown)
    panels = [axes for axes in figure.axes if axes.images]
    assert len(panels) == 2 * 3 * 4
    assert [axes.get_title() for axes in panels[:4]] == list(shown.classes)
    image, reconstruction, residual = (panels[row * 4].images[0] for row in range(3))
    np.testing.assert_allclose(image.get_array(), images[0].mean(0))
    np.testing.assert_allclose(residual.get_array(), (images - made)[0].mean(0))
    assert image.get_clim() == reconstruction.get_clim()
    low, high = residual.get_clim()
    assert low == -high
    assert all(panel.images[0].get_clim() == (low, high) for panel in panels[8:12])
    figure.savefig("/dev/null", format="png")
