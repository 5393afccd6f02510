"""Pictures of `lenskit probe`."""

from __future__ import annotations

from lenskit.plugin import Parameter
from lenskit_evaluation.probe.label_curves import Point
from lenskit_evaluation.probe.plots import label_curves


def test_curves_of_labels_that_only_one_of_two_data_sets_has() -> None:
    points = [
        Point(label, name, n, (0.5, 0.6), (0.1, 0.1)) for label, name in (("a", "q"), ("b", "p")) for n in (10, 30)
    ]
    figure = label_curves(points, [Parameter("p"), Parameter("q")])
    assert [[line.get_label() for line in axes.lines[:-1]] for axes in figure.axes] == [["b"], ["a"]]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["b", "a"]
