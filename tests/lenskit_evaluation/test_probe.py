"""What `lenskit probe` finds, writes and prints."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import RidgeCV
from sklearn.metrics import r2_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from lenskit.cli.main import run as lenskit
from lenskit.errors import LenskitError
from lenskit.plugin import Run, simulated
from lenskit_evaluation.fitted import FittedProbe
from lenskit_evaluation.predict import Predict
from lenskit_evaluation.probe import Probe

SMALL = {"lenses": 300, "test_lenses": 100}


def test_the_table_and_its_baselines(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    rows = {(row.label, row.probe): row.scores for row in Probe(**SMALL)([run])}
    assert list(rows) == [
        ("blobs", "ridge"), ("blobs", "kNN"), ("random", "ridge"), ("random", "kNN"), ("constant", "-"),
        ("blobs, no source", "ridge"),
    ]  # fmt: skip
    constant = rows["constant", "-"]["width"]
    assert constant.r2.value == pytest.approx(0, abs=0.05)
    # Without its blob an image is noise, in which there is no width.
    assert rows["blobs, no source", "ridge"]["width"].r2.value < 0.1
    assert rows["blobs", "ridge"]["width"].r2.value > 0.5
    printed = capsys.readouterr().out
    assert printed.index("width") < printed.index("random")

    folder = run.path / "evaluations" / "probe"
    stored = json.loads((folder / "results.json").read_text())
    assert stored["rows"][0]["scores"]["width"]["r2"]["value"] == rows["blobs", "ridge"]["width"].r2.value
    assert stored["settings"]["lenses"] == 300
    with (folder / "table.csv").open() as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == len(rows) * 2
    assert (folder / "r2.png").read_bytes().startswith(b"\x89PNG")


def test_agrees_with_scikit_learn(run: Run) -> None:
    row = Probe(**SMALL, controls=False)([run])[0]
    encoder = run.encoder()
    sets = [
        encoder.embed(simulated(run.simulator(), seed=0, split=split, lenses=lenses))
        for split, lenses in (("probe-train", 300), ("probe-test", 100))
    ]
    (x, y), (x_test, y_test) = [(features, parameters["width"]) for features, parameters in sets]
    model = make_pipeline(StandardScaler(), RidgeCV(300 * np.logspace(-6, 3, 28))).fit(x, y)
    assert row.scores["width"].r2.value == pytest.approx(r2_score(y_test, model.predict(x_test)), abs=1e-6)


def test_predicts_files(run: Run, images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(LenskitError, match="has no fitted probe yet: run `lenskit probe"):
        Predict()([run], [str(images)])
    Probe(**SMALL, controls=False)([run])
    table = tmp_path / "tables" / "out.csv"
    assert lenskit(["predict", str(run.path), str(images), str(images / "blob03.fits"), "-o", str(table)]) == 0
    with table.open() as file:
        rows = list(csv.DictReader(file))
    assert [row["name"] for row in rows] == [*(f"blob{number:02}" for number in range(12)), "blob03"]
    assert rows[3] == rows[12]
    assert all(float(row["width_low"]) < float(row["width"]) < float(row["width_high"]) for row in rows)

    capsys.readouterr()
    Predict(level=0.95)([run], [str(images)])
    printed = list(csv.DictReader(capsys.readouterr().out.splitlines()))
    assert printed[0]["width"] == rows[0]["width"]
    assert float(printed[0]["width_low"]) < float(rows[0]["width_low"])


def test_intervals_hold_what_they_promise(run: Run) -> None:
    Probe(lenses=500, test_lenses=500, controls=False)([run])
    probe = FittedProbe.load(run.folder("probe"))
    features, truth = run.encoder().embed(simulated(run.simulator(), seed=0, split="another", lenses=1000))
    error = np.abs(probe.predict(features)["width"] - truth["width"])
    inside = np.mean(error <= probe.half_width(0.68)["width"])
    # Binomial errors of 1,000 new lenses and of the 500 that the interval was set by: .015 and .021.
    assert inside == pytest.approx(0.68, abs=4 * np.hypot(0.015, 0.021))


def test_flags_what_is_unlike_the_simulations(run: Run) -> None:
    Probe(lenses=500, test_lenses=500, controls=False)([run])
    probe, encoder = FittedProbe.load(run.folder("probe")), run.encoder()
    like, _ = encoder.embed(simulated(run.simulator(), seed=0, split="another", lenses=500))
    lenses = simulated(run.simulator(), seed=0, split="another", lenses=500)
    unlike, _ = encoder.embed((-images, parameters) for images, parameters in lenses)
    assert probe.outliers.is_outlier(like).mean() < 0.04
    assert probe.outliers.is_outlier(unlike).mean() > 0.5


def test_judges_on_stored_images(run: Run, images: Path, capsys: pytest.CaptureFixture[str]) -> None:
    labels = (images / "labels.csv").read_text().replace("width", "width_px")
    (images / "labels.csv").write_text(labels)
    with pytest.raises(LenskitError, match="has labels width_px, but the probe predicts width"):
        Probe(**SMALL, controls=False, target_data=str(images))([run])
    (images / "labels.csv").write_text(labels.replace("width_px", "width"))
    with pytest.raises(LenskitError, match=r"width is in no unit in .*, but the probe predicts it in arcsec"):
        Probe(**SMALL, controls=False, target_data=str(images))([run])


def test_two_runs_of_one_name_are_told_apart(run: Run, tmp_path: Path) -> None:
    import shutil

    (tmp_path / "other").mkdir()
    shutil.copytree(run.path, tmp_path / "other" / "blobs")
    rows = Probe(**SMALL, controls=False)([run, Run(tmp_path / "other" / "blobs")])
    labels = list(dict.fromkeys(row.label for row in rows))
    assert labels == [str(run.path), str(tmp_path / "other" / "blobs"), "random", "constant"]
    assert (tmp_path / "other" / "blobs" / "evaluations" / "probe" / "linear.npz").is_file()


@pytest.mark.slow
def test_theta_E_of_real_lenses(real_data: Path, tmp_path: Path) -> None:
    """The whole way, from simulations to SLACS: everything is written, and a constant's figure is the known one."""
    command = ["train", "--recipe", "quickstart", "--lenses", "32", "--epochs", "1", "--batch-size", "16"]
    small = ["--set", "method.projection_dim=32", "--set", "method.hidden_dim=32", "--set", "input.size=32"]
    assert lenskit([*command, *small, "--out", "small"]) == 0
    assert lenskit(["probe", "small", "--lenses", "60", "--test-lenses", "50", "--no-controls",
                    "--target-data", str(real_data / "slacs")]) == 0  # fmt: skip
    folder = Path("small/evaluations/probe")
    found = json.loads((folder / "target.json").read_text())["theta_E"]
    assert found["small"]["n"] == 20
    # The mean absolute error of the best constant on these 20 lenses.
    assert found["constant"]["mae"]["value"] == pytest.approx(0.158, abs=5e-4)
    assert (folder / "target_theta_E.png").read_bytes().startswith(b"\x89PNG")
    assert lenskit(["predict", "small", str(real_data / "slacs"), "-o", "table.csv"]) == 0
    with Path("table.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert rows[0]["name"] == "J0008-0004"
    assert {"theta_E", "theta_E_low", "theta_E_high", "unlike_simulations"} <= set(rows[0])
