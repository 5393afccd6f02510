"""Results, files and errors of `lenskit invariance`."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from lenskit.cli.main import run as lenskit
from lenskit.errors import UsageError
from lenskit.evaluation import Embeddings, Run
from lenskit.plugin import Parameter
from lenskit_evaluation.baselines import PIXELS, RANDOM
from lenskit_evaluation.invariance.evaluation import Invariance

SMALL = {"lenses": 80, "test_lenses": 60}

PARAMETERS = (
    Parameter("theta_E", "arcsec", "$\\theta_E$", "lens", headline=True),
    Parameter("mass", group="lens", classes=("low", "high")),
    Parameter("x", group="source"),
    Parameter("psf", group="instrument", classes=("a", "b", "c")),
    Parameter("stamp", group="source", identity=True),
)


def embeddings(features, path: Path, n: int = 240) -> Embeddings:
    """Return embeddings made of `lens`, `rest` or `none`, joined by `+`."""
    rng = np.random.default_rng(0)
    theta_E = rng.uniform(0.5, 2, n)
    x = rng.normal(size=n)
    psf = rng.integers(3, size=n)
    known = {"theta_E": theta_E, "mass": theta_E > 1.2, "x": x, "psf": psf, "stamp": rng.integers(1000, size=n)}
    columns = {"lens": [theta_E], "rest": [x, *(psf == k for k in range(3))], "none": [np.full(n, 0.3)]}
    matrix = np.column_stack([column for side in features.split("+") for column in columns[side]])
    mixing = np.random.default_rng(1).normal(size=(matrix.shape[1], 8))
    return Embeddings(matrix @ mixing, known, parameters=PARAMETERS, path=path)


@pytest.mark.slow
@pytest.mark.parametrize(("features", "score"), [("lens", 1), ("rest", -1), ("lens+rest", 0), ("none", 0)])
def test_features_in_closed_form(features: str, score: float, tmp_path: Path) -> None:
    found = Invariance()([embeddings(features, tmp_path / "known.npz")])["known"].selectivity
    assert found.score.value == pytest.approx(score, abs=0.1)
    assert list(found.items) == ["theta_E", "mass", "x", "psf"]  # the number of the stamp is an identity


@pytest.mark.slow
def test_leftovers_behind_a_nonlinearity_count(tmp_path: Path) -> None:
    """A parameter multiplied by a random sign is found by nonlinear probes only."""
    given = embeddings("lens", tmp_path / "folded.npz")
    x, sign = given.values["x"], np.random.default_rng(2).choice([-1, 1], len(given))
    folded = Embeddings(
        np.column_stack([given.values["theta_E"], sign, sign * x]),
        given.values, parameters=PARAMETERS, path=given.path,
    )  # fmt: skip
    item = Invariance()([folded])["folded"].selectivity.items["x"]
    assert item.probe != "ridge"
    assert item.skill.value > 0.5


@pytest.mark.slow
def test_a_run_and_its_baselines(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    found = Invariance(**SMALL)([run])
    assert list(found) == ["blobs", RANDOM, PIXELS]
    # Without its blob an image is noise, so nothing is given away. Position and width are independent.
    for each in found.values():
        assert each.selectivity.items["width"].given < 0.3
        assert each.selectivity.items["x"].given < 0.3
    kept = found["blobs"].selectivity
    assert kept.items["width"].skill.value > 0.5
    assert kept.score.low <= kept.score.value == pytest.approx(kept.kept.value - kept.left.value)
    assert found["blobs"].over_random is not None
    assert found["blobs"].statistics.n == 60
    assert found[RANDOM].statistics.pairs == 60

    folder = run.path / "evaluations" / "invariance"
    stored = json.loads((folder / "results.json").read_text())
    assert stored["encoders"]["blobs"]["score"]["value"] == kept.score.value
    assert stored["settings"]["kept"] == ["lens"]
    assert stored["settings"]["judged_on"] == 60
    assert stored["summary"]["blobs"]["invariance score"] == kept.score.value
    with (folder / "table.csv").open() as file:
        assert {(row["encoder"], row["parameter"], row["side"]) for row in csv.DictReader(file)} == {
            (label, *item) for label in found for item in (("width", "kept"), ("x", "rest"))
        }
    assert (folder / "invariance.png").read_bytes().startswith(b"\x89PNG")
    printed = capsys.readouterr().out
    assert "score" in printed
    assert "effective rank" in printed


@pytest.mark.slow
def test_the_control_takes_off_what_is_given_away(run: Run) -> None:
    """If images without a source equal images with a source, everything is given away."""
    found = Invariance(**SMALL, baselines=False, simulator="indelible")([run])["blobs"].selectivity
    item = found.items["width"]
    assert item.given >= item.skill.value
    assert found.kept.value == 0
    assert list(found.items) == ["width", "x"]


@pytest.mark.slow
def test_pairs_say_what_is_kept(run: Run, tmp_path: Path) -> None:
    other = tmp_path / "source-fixed"
    shutil.copytree(run.path, other)
    text = (other / "run.toml").read_text()
    (other / "run.toml").write_text(text.replace('name = "lens-fixed"', 'name = "source-fixed"'))
    found = Invariance(**SMALL, baselines=False)([Run(other), run])
    items = found["source-fixed"].selectivity.items
    assert items["x"].kept
    assert not items["width"].kept
    assert np.isnan(items["x"].given)  # the control is not used for parameters of the source
    assert found["blobs"].selectivity.items["x"].kept
    # Pairs of one image share everything, so the groups of headline parameters are kept.
    (other / "run.toml").write_text(text.replace('name = "lens-fixed"', 'name = "single"'))
    assert Invariance(**SMALL, baselines=False)([Run(other)])["source-fixed"].selectivity.items["width"].kept


def test_stored_images_whose_labels_are_all_of_one_group(run: Run, images: Path) -> None:
    with pytest.raises(UsageError, match="parameters are lens and the groups to keep are lens: pass --shared GROUP"):
        Invariance(data=str(images))([run])


def test_bad_input(run: Run, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    given = embeddings("lens", tmp_path / "known.npz")
    given.save(given.path)
    assert lenskit(["invariance", str(given.path), "--shared", "mirror"]) == 2
    assert "parameters are instrument, lens, source and the groups to keep are mirror" in capfd.readouterr().err
    with pytest.raises(UsageError, match="are none and the groups to keep are none"):
        Invariance()([Embeddings(np.eye(30))])
    assert not (tmp_path / "known.npz-evaluations").exists()
