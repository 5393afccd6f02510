from __future__ import annotations

import io
from itertools import combinations, pairwise

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.image import imread
from matplotlib.text import Annotation

from lenskit_evaluation.bootstrap import Estimate
from lenskit_evaluation.metrics import score
from lenskit_evaluation.plots import COLORS, LOWEST_R2, NAMED_POINTS, r2_bars, truth_against_prediction

SYMBOLS = {"theta_E": r"$\theta_E$", "gamma": r"$\gamma$", "e1": ""}


def drawn(figure: Figure) -> np.ndarray:
    file = io.BytesIO()
    figure.savefig(file, format="png")
    file.seek(0)
    return imread(file)


class TestBars:
    rows = {  # noqa: RUF012
        "lens-fixed": {"theta_E": Estimate(0.9, 0.85, 0.94), "gamma": Estimate(0.4, 0.3, 0.5)},
        "random": {"theta_E": Estimate(0.6, 0.5, 0.7), "gamma": Estimate(float("nan")), "e1": Estimate(-3.25, -5, -2)},
    }

    def test_a_bar_for_each_figure(self):
        figure = r2_bars(self.rows, SYMBOLS)
        (axes,) = figure.axes
        assert [[bar.get_height() for bar in bars] for bars in axes.containers if len(bars) != 3] == [
            [0.9, 0.4],
            [0.6, -3.25],
        ]
        assert [label.get_text() for label in axes.get_xticklabels()] == [r"$\theta_E$", r"$\gamma$", "e1"]
        assert [text.get_text() for text in figure.legends[0].get_texts()] == ["lens-fixed", "random"]
        assert drawn(figure).std() > 0.05

    def test_error_bars_are_the_intervals(self):
        (axes,) = r2_bars({"run": self.rows["lens-fixed"]}, SYMBOLS).axes
        (lines,) = axes.collections
        ends = [segment[:, 1].tolist() for segment in lines.get_segments()]
        np.testing.assert_allclose(ends, [[0.85, 0.94], [0.3, 0.5]])

    def test_what_is_below_the_axis_is_written(self):
        (axes,) = r2_bars(self.rows, SYMBOLS).axes
        assert axes.get_ylim()[0] == LOWEST_R2
        assert [text.get_text().strip() for text in axes.texts] == ["-3.25"]

    def test_groups_do_not_overlap(self):
        eight = {str(i): {name: Estimate(0.5, 0.4, 0.6) for name in SYMBOLS} for i in range(8)}
        (axes,) = r2_bars(eight, SYMBOLS).axes
        edges = sorted((bar.get_x(), bar.get_x() + bar.get_width()) for bar in axes.patches)
        assert len(edges) == 24
        assert all(right <= left + 1e-9 for (_, right), (left, _) in pairwise(edges))
        assert len({bar.get_facecolor() for bar in axes.patches}) == len(COLORS) == 8


class TestScatter:
    def figure(self, n: int = 20, **options) -> Figure:
        rng = np.random.default_rng(0)
        truth = rng.normal(1.17, 0.2, n)
        prediction = truth + rng.normal(0, 0.1, n)
        truth[1] = np.nan
        names = [f"J{i:04d}+0000" for i in range(n)]
        self.score = score(truth, prediction)
        return truth_against_prediction(
            truth, prediction, self.score, symbol=r"$\theta_E$", unit="arcsec", names=names, noun="lenses", **options
        )

    @pytest.mark.slow
    def test_names_are_beside_their_points_and_apart(self):
        figure = self.figure()
        drawn(figure)
        (axes,) = figure.axes
        names = [child for child in axes.get_children() if isinstance(child, Annotation)]
        assert sorted(name.get_text() for name in names) == [f"J{i:04d}+0000" for i in range(20) if i != 1]
        boxes = [name.get_window_extent() for name in names]
        frame = axes.get_window_extent()
        for name, box in zip(names, boxes, strict=True):
            away = np.abs(axes.transData.transform(name.xy) - box.get_points().mean(0)) - np.array(box.size) / 2
            assert np.hypot(*away.clip(0)) < 50
            assert frame.xmin <= box.xmin
            assert box.xmax <= frame.xmax
        overlapping = [1 for a, b in combinations(boxes, 2) if a.overlaps(b)]
        assert len(overlapping) <= 1

    def test_many_points_are_not_named(self):
        (axes,) = self.figure(NAMED_POINTS + 2).axes
        assert not [child for child in axes.get_children() if isinstance(child, Annotation)]

    def test_figures_and_lines(self):
        figure = self.figure(constant=1.2, half_width=0.1)
        (axes,) = figure.axes
        title = axes.get_title(loc="left")
        assert "19 lenses" in title
        assert str(self.score.spearman) in title
        assert str(self.score.mae) in title
        labels = [text.get_text() for text in figure.legends[0].get_texts()]
        assert labels[0] == "prediction = truth"
        assert labels[1].startswith("constant 1.2: mean absolute error 0.")
        assert axes.get_xlabel() == r"true $\theta_E$ [arcsec]"
        assert axes.get_xlim() == axes.get_ylim()
        (bars,) = axes.containers[0].lines[2]
        np.testing.assert_allclose([np.ptp(segment[:, 1]) for segment in bars.get_segments()], [0.2] * 19)

    @pytest.mark.parametrize("names", [(), ["a", "b"]])
    def test_all_the_same(self, names):
        truth, prediction = [1.0, 1.0], [1.0, 1.0]
        figure = truth_against_prediction(truth, prediction, score(truth, prediction), symbol="q", names=names)
        assert drawn(figure).std() > 0.05


def test_long_names_are_slanted():
    names = {"theta_E": r"$\theta_\mathrm{E}$", "pa_sie_deg_east_of_north": ""}
    for symbols, slant in (({"theta_E": names["theta_E"]}, 0), (names, 30)):
        (axes,) = r2_bars({"run": {}}, symbols).axes
        assert {text.get_rotation() for text in axes.get_xticklabels()} == {slant}
