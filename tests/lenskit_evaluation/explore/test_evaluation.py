"""Tests of `lenskit explore`: lenses and pictures on the page, and errors."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

import lenskit
from lenskit.embeddings import Embeddings
from lenskit.errors import LenskitError, UsageError
from lenskit.run import Run
from lenskit_evaluation.explore.evaluation import Explore


def features(n: int = 40) -> np.ndarray:
    """Return features of lenses along a line."""
    return np.linspace(0, 1, n)[:, None] + 0.01 * np.random.default_rng(0).normal(size=(n, 4))


def on_page(path: Path) -> dict[str, int]:
    """Return the numbers of sheets and of header lines of a page."""
    html = path.read_text(encoding="utf-8")
    return {"sheets": len(re.findall(r"^\.sheet-\d", html, re.MULTILINE)), "none": html.count("There are no pictures")}


@pytest.mark.slow  # UMAP compiles at its first use
def test_a_page_of_a_run_of_stored_images_and_of_embeddings(run: Run, images: Path, tmp_path: Path) -> None:
    (found,) = lenskit.evaluate("explore", run, lenses=40, n_neighbors=5, seed=3)
    assert found.page == run.folder("explore") / "explore.html"
    assert found.places.shape == (40, 2)
    assert 0.5 < found.trustworthiness <= 1
    assert on_page(found.page) == {"sheets": 1, "none": 0}
    assert found.megabytes == pytest.approx(found.page.stat().st_size / 1e6)
    results = json.loads((run.folder("explore") / "results.json").read_text())
    assert results["trustworthiness"] == found.trustworthiness
    assert (results["lenses"], results["seed"], results["settings"]["lenses"]) == (40, 3, 40)
    html = found.page.read_text(encoding="utf-8")
    assert "<p>40 simulated lenses (blobs@lenskit-ssl-toys, seed 3), never trained on.</p>" in html
    assert f"trustworthiness {found.trustworthiness:.3f} of 40 lenses.</p>" in html

    # The same lenses have the same coordinates, and the page can be outside the run.
    output = tmp_path / "again.html"
    (again,) = Explore(lenses=40, n_neighbors=5, seed=3, output=str(output))([run])
    assert again.page == output
    assert again.places == pytest.approx(found.places)

    (stored,) = Explore(data=str(images), n_neighbors=5)([run])
    assert stored.names == [f"blob{number:02}" for number in range(12)]
    (some,) = Explore(data=str(images), lenses=8, n_neighbors=3)([run])
    assert len(some.names) == 8
    assert set(some.names) < set(stored.names)
    assert "8 lenses of" in some.page.read_text(encoding="utf-8")

    own = Embeddings(features(), {"width": np.arange(40)}, path=tmp_path / "own.npz")
    (bare,) = lenskit.evaluate("explore", own, n_neighbors=5)
    assert bare.page == tmp_path / "own.npz-evaluations" / "explore" / "explore.html"
    assert on_page(bare.page) == {"sheets": 0, "none": 1}
    # Neighbours on the line are closer on the map than other lenses.
    steps = np.linalg.norm(np.diff(bare.places, axis=0), axis=1)
    assert np.median(steps) < 0.3 * np.linalg.norm(bare.places - np.roll(bare.places, 20, axis=0), axis=1).mean()
    named = Embeddings(features(12), names=stored.names, path=tmp_path / "named.npz")
    (pictured,) = lenskit.evaluate("explore", named, data=str(images), n_neighbors=5)
    assert on_page(pictured.page) == {"sheets": 1, "none": 0}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lenses": 10}, "10 lenses are too few for --n-neighbors 15"),
        ({"output": "nowhere/page.html"}, "there is no folder nowhere"),
        ({"data": "images", "simulator": "blobs"}, "two sources of lenses"),
        ({"set": ["width"]}, "--set takes OPTION=VALUE"),
        ({"thumbnail": 4}, "thumbnail"),
    ],
)
def test_wrong_options_are_one_line_before_anything_is_written(run: Run, options: dict, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        lenskit.evaluate("explore", run, **options)
    assert not (run.path / "evaluations").exists()


def test_one_file_is_of_one_run(run: Run, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--output names one file, but there are 2 runs"):
        Explore(output=str(tmp_path / "page.html"))([run, run])


def test_embeddings_have_the_pictures_of_their_names_or_none(images: Path, tmp_path: Path) -> None:
    path = tmp_path / "own.npz"
    with pytest.raises(UsageError, match="has no image named 0; images of 40 of 40 embeddings are missing"):
        Explore(data=str(images))([Embeddings(features(), path=path)])
    twice = Embeddings(features(), names=["blob00"] * 40, path=path)
    with pytest.raises(UsageError, match="not unique"):
        Explore(data=str(images))([twice])
    with pytest.raises(UsageError, match="omit --simulator and --set"):
        Explore(simulator="blobs")([Embeddings(features(), path=path)])
    with pytest.raises(UsageError, match="14 lenses are too few"):
        Explore()([Embeddings(features(14), path=path)])


def test_of_features_that_are_all_the_same_there_is_no_page(tmp_path: Path) -> None:
    with pytest.raises(LenskitError, match="the same features"):
        Explore()([Embeddings(np.ones((40, 4)), path=tmp_path / "own.npz")])
    assert list(tmp_path.rglob("*")) == []
