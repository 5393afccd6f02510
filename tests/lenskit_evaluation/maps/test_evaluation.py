"""Tests of `lenskit umap`."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from lenskit.cli.main import run as lenskit
from lenskit.errors import LenskitError, UsageError
from lenskit.evaluation import Embeddings, Rows, Split
from lenskit.kinds.parameter import Parameter
from lenskit.run import Run
from lenskit_evaluation.maps.evaluation import Umap, coloured_by

WIDTH = Parameter("width", "arcsec", "$w$", headline=True)
KIND = Parameter("kind", classes=("blob", "a|b <i>", "ring"))


def embeddings(path: Path, n: int = 120, **options: object) -> Embeddings:
    """Return features that determine the width, but not the class."""
    rng = np.random.default_rng(1)
    width = rng.uniform(1, 3, n)
    features = np.stack([np.sin((number + 1) * width) for number in range(12)], 1) + 0.01 * rng.normal(size=(n, 12))
    values = {"width": np.where(np.arange(n) % 9 == 0, np.nan, width), "kind": rng.integers(0, 3, n).astype(float)}
    found = Embeddings(features, values, parameters=options.get("parameters", [WIDTH, KIND]), path=path)  # type: ignore[arg-type]
    found.save(path)
    return found


@pytest.mark.slow
def test_a_run_above_embeddings(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "features.npz"
    embeddings(file)
    flags = "--lenses 60 --test-lenses 40 --n-neighbors 8 --color width"
    assert lenskit(["umap", str(run.path), str(file), *flags.split()]) == 0
    folder = run.folder("umap")
    results = json.loads((folder / "results.json").read_text())
    assert list(results["maps"]) == ["blobs", "features"]
    told = results["maps"]["features"]
    assert (told["fitted"], told["shown"]) == (60, 30)  # at most a quarter is shown
    assert told["trustworthiness"]["k"] == 8
    assert told["local"]["width"]["value"]["value"] > 0.8
    assert told["local"]["width"]["dropped"] > 0
    for name in ("umap.png", "local.png", "umap.pdf", "table.md"):
        assert (folder / name).stat().st_size > 0
    with (file.parent / "features.npz-evaluations" / "umap" / "coordinates.csv").open() as table:
        rows = list(csv.DictReader(table))
    assert len(rows) == 30
    assert set(rows[0]) == {"name", "umap_1", "umap_2", "width", "kind"}
    # Each name is in the row of its own values.
    source = Embeddings.load(file)
    for row in rows:
        assert float(row["kind"]) == source.values["kind"][source.names.index(row["name"])]


@pytest.mark.slow
def test_classes_have_a_legend_and_an_accuracy(tmp_path: Path) -> None:
    subject = embeddings(tmp_path / "f.npz")
    found = Umap(color=["kind", "width"], n_neighbors=5)([subject])["f"]
    assert found.local["kind"].measure == "accuracy"
    assert found.local["kind"].value.value < 0.7  # the features are independent of the class
    assert found.local["width"].measure == "R2"
    assert found.places.shape == (30, 2)
    # 12 features are fewer than the default number of components, so they are not reduced.
    assert found.components == 0
    told = json.loads((subject.folder("umap") / "results.json").read_text())
    assert "euclidean distance between features, seed 0" in told["title"]


def test_what_cannot_be_shown_is_one_line(tmp_path: Path) -> None:
    subject = embeddings(tmp_path / "f.npz")
    with pytest.raises(UsageError, match="f has no parameter 'widht' to colour by; it has width, kind"):
        Umap(color=["widht"])([subject])
    with pytest.raises(UsageError, match="no parameter is known in all"):
        Umap()([Embeddings(np.random.default_rng(0).normal(size=(40, 3)), path=tmp_path / "g.npz")])
    other = embeddings(tmp_path / "g.npz", parameters=[Parameter("width", "deg"), KIND])
    with pytest.raises(LenskitError, match="width is in arcsec for f, but in deg for g"):
        Umap()([subject, other])
    with pytest.raises(UsageError, match="too few to fit a map of 15"):
        Umap(lenses=12)
    assert not list(tmp_path.glob("*-evaluations"))


def test_the_papers_parameters_are_shown_where_they_are_recorded() -> None:
    def names(*parameters: Parameter) -> list[str]:
        values = {parameter.name: np.zeros(1) for parameter in parameters}
        side = Rows(np.zeros((1, 2)), values, np.zeros(1, np.int64), ["a"])
        return [each.name for each in coloured_by({"a": Split(side, side, list(parameters))}, [])]

    paper = [Parameter("gamma", headline=True), Parameter("e1"), Parameter("theta_E", "arcsec", headline=True)]
    assert names(*paper, Parameter("x")) == ["theta_E", "e1", "gamma"]
    assert names(*paper[:2], Parameter("x")) == ["gamma"]
    assert names(*[Parameter(name) for name in "abcd"]) == ["a", "b", "c"]
    assert names(Parameter("stamp", identity=True), Parameter("x")) == ["x"]
