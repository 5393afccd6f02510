"""Results, files and printed tables of `lenskit probe`."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import RidgeCV
from sklearn.metrics import mean_absolute_error, r2_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from lenskit.cli.main import run as lenskit
from lenskit.errors import LenskitError, UsageError
from lenskit.evaluation import Embeddings, Run, simulated_split
from lenskit.plugin import Parameter
from lenskit_evaluation.bootstrap import Estimate
from lenskit_evaluation.metrics import Score
from lenskit_evaluation.predict import Predict
from lenskit_evaluation.probe.evaluation import Probe, shortcut_lines
from lenskit_evaluation.probe.probing import Row
from lenskit_evaluation.probe.saved_probe import FittedProbe
from lenskit_lensing.simulators.hst import HST

SMALL: dict[str, Any] = {"lenses": 100, "test_lenses": 100, "mlp": False, "curves": False}


@pytest.mark.slow
def test_the_table_its_baselines_and_pictures(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    found = Probe(lenses=100, test_lenses=100, shift=["width=uniform(0.5, 1.5)"])([run])
    rows = {(row.label, row.probe, row.judged): row for row in found.rows}
    shift = "width=uniform(0.5, 1.5)"
    assert list(rows) == [
        ("blobs", "ridge", ""), ("blobs", "kNN", ""), ("blobs", "MLP", ""),
        ("random", "ridge", ""), ("random", "kNN", ""), ("random", "MLP", ""),
        ("pixels", "ridge", ""), ("pixels", "kNN", ""), ("pixels", "MLP", ""),
        ("constant", "-", ""), ("blobs, no source", "ridge", ""),
        ("blobs", "ridge", shift), ("random", "ridge", shift), ("pixels", "ridge", shift), ("constant", "-", shift),
    ]  # fmt: skip
    constant = rows["constant", "-", ""].scores["width"]
    assert constant.r2.value == pytest.approx(0, abs=0.05)
    # An image without its blob is noise, so that the width cannot be predicted.
    assert rows["blobs, no source", "ridge", ""].scores["width"].r2.value < 0.1
    # kNN is worse, because 64 neighbours are most of the 100 lenses.
    for probe, least in (("ridge", 0.5), ("kNN", 0.1)):
        row = rows["blobs", probe, ""]
        assert row.scores["width"].r2.value > least
        assert (row.labels, row.draws, row.scores["width"].n) == (100, 3, 100)
        assert row.scores["width"].r2.spread > 0
    # The bias of a constant is the shift of the mean, 1.
    assert rows["constant", "-", shift].scores["width"].bias.value == pytest.approx(1, abs=0.15)
    assert rows["blobs", "ridge", shift].scores["width"].mae.value < 1

    assert {(p.label, p.labels, len(p.r2)) for p in found.curves if p.parameter == "width"} == {
        (label, size, draws)
        for label in ("blobs", "random", "pixels")
        for size, draws in ((10, 10), (30, 10), (100, 3))
    }
    last = next(p for p in found.curves if (p.label, p.parameter, p.labels) == ("blobs", "width", 100))
    assert np.mean(last.r2) == pytest.approx(rows["blobs", "ridge", ""].scores["width"].r2.value)
    assert set(found.statistics) == {"blobs", "random", "pixels"}

    printed = capsys.readouterr().out
    assert printed.index("width") < printed.index("random")
    folder = run.path / "evaluations" / "probe"
    stored = json.loads((folder / "results.json").read_text())
    assert stored["rows"][0]["scores"]["width"]["r2"]["value"] == rows["blobs", "ridge", ""].scores["width"].r2.value
    assert stored["settings"]["lenses"] == 100
    assert list(stored["summary"]) == ["blobs"]
    with (folder / "table.csv").open() as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == 2 * len(rows) + len(found.curves)
    for name in ("r2", "curves"):
        assert (folder / f"{name}.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_agrees_with_scikit_learn(run: Run) -> None:
    row = Probe(**SMALL, seeds=1, controls=False)([run]).rows[0]
    sets = [run.embed(100, split=split) for split in ("probe-train", "probe-test")]
    (x, y), (x_test, y_test) = [(features, parameters["width"]) for features, parameters in sets]
    model = make_pipeline(StandardScaler(), RidgeCV(100 * np.logspace(-6, 3, 28))).fit(x, y)
    score = row.scores["width"]
    assert score.r2.value == pytest.approx(r2_score(y_test, model.predict(x_test)), abs=1e-6)
    assert score.mae.value == pytest.approx(mean_absolute_error(y_test, model.predict(x_test)), abs=1e-6)


def embeddings(n: int = 300, **values: np.ndarray) -> Embeddings:
    """Return embeddings that determine theta_E and, with noise, a class label."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(n, 8))
    known = {"theta_E": 1 + 0.1 * x[:, 0], "is_lens": (x[:, 1] + 0.3 * rng.normal(size=n) > 0).astype(float), **values}
    parameters = [Parameter("theta_E", "arcsec", headline=True), Parameter("is_lens", classes=("no", "yes"))]
    return Embeddings(x, known, parameters=parameters, path="mine.npz")


@pytest.mark.slow
def test_embeddings(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    holes = 1 + embeddings().features[:, 2]
    holes[:20] = np.nan
    found = Probe(lenses=100, mlp=False)([embeddings(gamma=holes, z_lens=np.full(300, 0.2), e1=np.full(300, np.nan))])
    assert [(row.label, row.probe) for row in found.rows] == [
        ("mine", "ridge"), ("mine", "kNN"), ("mine, constant", "-"),
    ]  # fmt: skip
    ridge, _, constant = (row.scores for row in found.rows)
    assert ridge["theta_E"].r2.value > 0.99
    assert ridge["is_lens"].accuracy.value > 0.8
    assert constant["is_lens"].accuracy.value == constant["is_lens"].chance == 0.5
    assert ridge["gamma"].n + ridge["gamma"].dropped == 75
    assert np.isnan(ridge["z_lens"].r2.value)
    assert "z_lens is 0.2 for all test lenses: it has no R2" in caplog.text
    assert "gamma is not known for 20 of 300 images, which are left out" in caplog.text
    assert "e1 is left out: it is known for 0 of 225 training images" in caplog.text
    assert "the only baseline of embeddings is a constant" in caplog.text
    assert "z_lens" in Path("mine.npz-evaluations/probe/table.md").read_text()


def test_what_is_refused(run: Run) -> None:
    with pytest.raises(LenskitError, match="mine has no labels: there is nothing to probe"):
        Probe()([Embeddings(np.ones((40, 2)), path="mine.npz")])
    with pytest.raises(LenskitError, match="theta_E is left out: it is known for 1 of 1 training images"):
        Probe()([embeddings(2)])
    with pytest.raises(UsageError, match="--shift needs lenses of a simulator, but --data has stored"):
        Probe(data="somewhere", shift=["width=2"])
    with pytest.raises(UsageError, match="embeddings have no simulator"):
        Probe(shift=["width=2"])([embeddings()])
    with pytest.raises(UsageError, match="widht"):
        Probe(**SMALL, shift=["widht=2"])([run])
    other = Embeddings(np.ones((40, 2)), {"width": np.arange(40)}, parameters=[Parameter("width", "pixel")])
    with pytest.raises(LenskitError, match="width is in arcsec for blobs, but in pixel for embeddings"):
        Probe(**SMALL)([run, other])
    assert not list((run.path / "evaluations").glob("probe/*"))


@pytest.mark.slow
def test_stored_images_need_no_simulator(run: Run, images: Path) -> None:
    found = Probe(**SMALL, data=str(images))([run])
    assert [row.label for row in found.rows if row.probe == "ridge"] == ["blobs", "random", "pixels"]
    assert found.rows[0].labels == 7  # 3 of 12 lenses are test lenses, and a draw has four fifths of the others


@pytest.mark.slow
def test_predict_tells_which_probe_it_uses(run: Run, images: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A run has one fitted probe; a new one overwrites it."""
    quick = {**SMALL, "controls": False}
    lenses, blobs = SMALL["lenses"] * 3, "simulator blobs@lenskit-ssl-toys"
    with caplog.at_level("INFO", "lenskit"):
        for seed, options, data, count in (
            (0, {}, blobs, lenses), (5, {"set": ["pixels=16"]}, f"{blobs} pixels=16", lenses),
            (0, {"data": str(images)}, str(images), 9),
        ):  # fmt: skip
            Probe(**{**quick, "seeds": 3}, seed=seed, **options)([run])
            caplog.clear()
            Predict()([run], [str(images)])
            assert f"probe fitted to {count} lenses of {data}, seed {seed}" in caplog.messages
    (run.folder("probe") / "fitted.json").unlink()  # as for a probe of an older version
    assert not FittedProbe.load(run.folder("probe")).about


@pytest.mark.slow
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


@pytest.mark.slow
def test_two_runs_of_one_name_are_told_apart(run: Run, tmp_path: Path) -> None:
    import shutil

    (tmp_path / "other").mkdir()
    shutil.copytree(run.path, tmp_path / "other" / "blobs")
    rows = Probe(**SMALL, controls=False)([run, Run(tmp_path / "other" / "blobs")]).rows
    labels = list(dict.fromkeys(row.label for row in rows))
    assert labels == [str(run.path), str(tmp_path / "other" / "blobs"), "random", "pixels", "constant"]
    assert (tmp_path / "other" / "blobs" / "evaluations" / "probe" / "linear.npz").is_file()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("values", "note", "pictures"),
    [
        ({"c": np.ones(300)}, "all labels are 1: no R2 and no rank correlation", []),
        (
            {"c": np.ones(300), "d": np.arange(300.0)},
            "all labels are 1: no R2 and no rank correlation",
            ["curves", "r2"],
        ),
    ],
)
def test_labels_that_are_all_the_same(values: dict[str, np.ndarray], note: str, pictures: list[str]) -> None:
    mine = Embeddings(np.random.default_rng(0).normal(size=(300, 4)), values, path="mine.npz")
    Probe(lenses=100, mlp=False)([mine])
    folder = mine.folder("probe")
    assert sorted(path.stem for path in folder.glob("*.png")) == pictures
    assert f"| c | {note} |" in (folder / "table.md").read_text()


@pytest.mark.slow
def test_labels_of_tiny_numbers() -> None:
    """R2 does not depend on the unit, and tiny errors are not printed as 0.000.

    An example is the mass of an axion in eV.
    """
    x = np.random.default_rng(0).normal(size=(300, 4)).astype(np.float32)
    mass = 1 + np.abs(x[:, 0])
    mine = Embeddings(x, {"mass": mass, "mass_eV": mass * np.float32(1e-23)}, path="mine.npz")
    row = next(row for row in Probe(lenses=100, mlp=False, curves=False)([mine]).rows if row.probe == "ridge")
    assert row.scores["mass_eV"].r2.value == pytest.approx(row.scores["mass"].r2.value, abs=1e-3)
    assert row.scores["mass_eV"].mae.value == pytest.approx(1e-23 * row.scores["mass"].mae.value, rel=1e-2)
    assert "e-24 ±" in (mine.folder("probe") / "table.md").read_text()


@pytest.mark.slow
def test_a_headline_label_that_few_images_have() -> None:
    few = np.where(np.arange(100) % 15 == 0, np.arange(100.0), np.nan)
    x = np.random.default_rng(0).normal(size=(100, 4))
    known = [Parameter("theta_E", headline=True), Parameter("gamma")]
    mine = Embeddings(x, {"theta_E": few, "gamma": x[:, 0]}, parameters=known, path="mine.npz")
    Probe(lenses=20, mlp=False)([mine])
    folder = mine.folder("probe")
    assert [path.stem for path in folder.glob("*.png")] == ["r2"]
    assert "| theta_E | known for fewer than two lenses of a random sample |" in (folder / "table.md").read_text()


@pytest.mark.slow
def test_stored_images_whose_labels_are_all_the_same(run: Run, images: Path) -> None:
    names = [path.stem for path in sorted(images.glob("*.fits"))]
    (images / "labels.csv").write_text("\n".join(["name,width", *(f"{name},1.5" for name in names)]) + "\n")
    Probe(lenses=100, test_lenses=100, mlp=False, data=str(images))([run])
    assert not list((run.path / "evaluations" / "probe").glob("*.png"))
    assert "all labels are 1.5" in (run.path / "evaluations" / "probe" / "table.md").read_text()


def test_a_control_that_tells_a_headline_parameter_is_a_shortcut(caplog: pytest.LogCaptureFixture) -> None:
    lenses = simulated_split(HST(pixels=16), 10, 10, 0)
    caplog.clear()
    none = Estimate(np.nan)

    def control(low: float) -> Row:
        scores = {name: Score(10, 0, Estimate(low + 0.05, low, low + 0.1), *[none] * 4) for name in ("theta_E", "e1")}
        return Row("run, no source", "ridge", scores, 10, 1)

    assert shortcut_lines(lenses, None) == shortcut_lines(lenses, control(0.04)) == []
    assert not caplog.records
    (line,) = shortcut_lines(lenses, control(0.11))
    assert "images without a source predict theta_E (R2 0.16, at least 0.11)" in line
    assert [record.levelname for record in caplog.records] == ["WARNING"]


@pytest.mark.slow
def test_the_table_has_the_shortcut(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    """Scenes of `hst` have a shortcut, because their lens light follows the mass.

    The encoder was not trained on such scenes.
    """
    options = ["pixels=16", "pixel_scale=0.2", "theta_E=choice(0.3, 2)", "light_radius=1", "light_n=1"]
    found = Probe(**SMALL, seeds=1, simulator="hst", set=options)([run])
    assert found.given_away
    assert "Shortcut control" in capsys.readouterr().out
    assert "shortcut: images without" in (run.path / "evaluations" / "probe" / "table.md").read_text()
