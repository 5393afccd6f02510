"""Files, printed tables and errors of `lenskit anomaly`."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from scipy.stats import mannwhitneyu

import lenskit
from lenskit.cli.main import run as command
from lenskit.run import Run
from lenskit_evaluation.anomaly.evaluation import Anomaly
from lenskit_evaluation.anomaly.metrics import TOGETHER
from lenskit_evaluation.report.evaluation import Report


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Return a table of scores of forty images by two detectors, with ties."""
    rng = np.random.default_rng(0)
    lines = ["name,class,score_a,score_b"]
    for number in range(40):
        scores = rng.integers(6) + number % 2, rng.normal()
        lines.append(f"image {number},{('none', 'vortex')[number % 2]},{scores[0]},{scores[1]}")
    (tmp_path / "scores.csv").write_text("\n".join(lines) + "\n")
    return tmp_path / "scores.csv"


@pytest.mark.slow
def test_a_table_is_judged_without_any_run(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command(["anomaly", "--scores", str(table), "--normal", "none"]) == 0
    folder = table.parent / "scores.csv-evaluations" / "anomaly"
    stored = json.loads((folder / "results.json").read_text())
    rows, printed = list(csv.DictReader(table.open())), capsys.readouterr().out
    for name in "ab":
        normal, anomalous = (
            [float(row[f"score_{name}"]) for row in rows if row["class"] == kind] for kind in ("none", "vortex")
        )
        expected = mannwhitneyu(anomalous, normal).statistic / 400
        found = stored["detectors"][name]["figures"]["vortex"]["auc"]
        assert found["value"] == pytest.approx(expected, abs=1e-12)
        assert f"{expected:.3f} ({found['low']:.3f} to {found['high']:.3f})" in printed
    assert stored["settings"]["images"] == {"none": 20, "vortex": 20}
    assert stored["table"][0]["TPR at 1% FPR"] == "-"
    assert stored["title"].endswith("(95 % intervals; 1% FPR is less than one of 20 normal images)")
    (difference,) = stored["differences"]
    values = [stored["detectors"][name]["figures"]["vortex"]["auc"]["value"] for name in "ba"]
    assert difference["value"] == pytest.approx(values[0] - values[1])
    assert {path.name for path in folder.glob("*.png")} == {"roc.png", "scores.png"}
    # An evaluation of the written scores gives the same figures.
    again = lenskit.evaluate("anomaly", scores=str(folder / "scores.csv"), normal="none")
    assert again.detectors["a"].together.auc.value == stored["detectors"]["a"]["figures"]["vortex"]["auc"]["value"]
    assert again.detectors["a"].together.auc.low == stored["detectors"]["a"]["figures"]["vortex"]["auc"]["low"]
    assert again.truth.names[:2] == ("image 0", "image 1")


@pytest.mark.slow
def test_many_classes_are_folded(tmp_path: Path) -> None:
    """Tables and pictures show the mean and the worst class; files have all classes."""
    rng, names = np.random.default_rng(0), ["none", *(f"kind {number}" for number in range(6))]
    lines = ["name,class,score_a,score_b"]
    for number in range(280):
        kind = number % 7
        scores = rng.normal(size=2) + kind * np.array([0.4, -0.1])
        lines.append(f"{number},{names[kind]},{scores[0]},{scores[1]}")
    (tmp_path / "scores.csv").write_text("\n".join(lines) + "\n")
    out = tmp_path / "out"
    judged = lenskit.evaluate("anomaly", scores=str(tmp_path / "scores.csv"), normal="none", output=str(out))
    stored = json.loads((out / "results.json").read_text())
    assert ": 40 none against 240 anomalies of 6 classes (" in stored["title"]
    row, one = stored["table"][0], judged.detectors["a"]
    areas = [key.removeprefix("AUC ") for key in row if key.startswith("AUC")]
    assert areas == ["mean of classes", "worst class", TOGETHER]
    values = [one.figures[name].auc.value for name in names[1:]]
    assert one.mean.value == pytest.approx(np.mean(values))
    assert one.mean.low < one.mean.value < one.mean.high
    assert one.worst == names[1 + int(np.argmin(values))]
    assert row["AUC worst class"] == f"{one.worst}: {one.figures[one.worst].auc}"
    assert stored["detectors"]["a"]["mean_auc_of_classes"]["value"] == one.mean.value
    with (out / "table.csv").open() as file:
        each = {line["class"] for line in csv.DictReader(file) if line["figure"] == "AUC" and line["detector"] == "a"}
    assert each == {*names[1:], TOGETHER}
    assert judged.groups == [one.worst, TOGETHER]


@pytest.mark.slow
def test_a_run_is_judged_on_what_its_simulator_makes(linear: Run, tmp_path: Path) -> None:
    options = {"lenses": 60, "train_lenses": 40, "neighbours": 2, "resamples": 100}
    judged = lenskit.evaluate("anomaly", linear, **options)
    folder = linear.path / "evaluations" / "anomaly"
    stored = json.loads((folder / "results.json").read_text())
    assert stored["subjects"] == {"linear": linear.id}
    one = judged.detectors["linear"]
    assert list(one.figures) == ["row", "column", TOGETHER]
    assert set(one.errors) == {"MSE", "W1"}
    assert {path.name for path in folder.glob("*.png")} == {"roc.png", "scores.png", "reconstructions.png"}
    row = stored["table"][0]
    assert row["detector"] == "linear"
    assert re.fullmatch(r"\S+ \(\S+ to \S+\)", row["MSE none"])
    with (folder / "scores.csv").open() as file:
        scores = list(csv.DictReader(file))
    assert [float(each["score_linear"]) for each in scores] == one.scored.scores.tolist()
    assert [float(each["MSE_linear"]) for each in scores] == one.scored.errors["MSE"].tolist()
    assert [float(each["W1_PCA"]) for each in scores] == judged.detectors["PCA"].scored.errors["W1"].tolist()
    assert stored["settings"].items() >= {"normal": "none", "label": "mark", "train_lenses": 40}.items()
    assert stored["detectors"]["PCA"]["training_lenses"] == 40
    again = lenskit.evaluate("anomaly", scores=str(folder / "scores.csv"), normal="none", resamples=100)
    assert [*again.detectors] == [*judged.detectors]
    assert [each["class"] for each in scores] == [judged.truth.classes[number] for number in judged.truth.label]
    # The row of the run in `lenskit report`.
    (line,) = Report(output=str(tmp_path / "report.html"))([linear])
    assert line["anomaly: AUC"] == one.together.auc.value
    assert "anomaly: AUC (neighbours)" in line


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ([], "anomaly needs a run, embeddings, or --scores with a table of scores"),
        (["--scores", "scores.csv"], "has the classes none, vortex: pass the normal class with --normal NAME"),
        (["--scores", "scores.csv", "--normal", "vortx"], "'vortx' (did you mean vortex?)"),
        (["--scores", "scores.csv", "--data", "images"], "--scores is a table of scores, and --data chooses images"),
        (["--scores", "scores.csv", "--set", "classes=none"], "and --set chooses images to score: pass only one"),
        (["--data", "images", "--simulator", "blobs"], "--data and --simulator are two sources"),
        (["--scores", "one.csv"], "all 2 images are of the class normal: without anomalies AUC is not defined"),
        (["--scores", "ones.csv"], "no image is of the class normal, all 2 are of anomaly: AUC is not defined"),
    ],
)
def test_what_is_refused(
    table: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], flags: list[str], said: str
) -> None:
    monkeypatch.chdir(table.parent)
    Path("one.csv").write_text("score,label\n1,0\n2,0\n")
    Path("ones.csv").write_text("score,label\n1,1\n2,1\n")
    assert command(["anomaly", *flags]) in (1, 2)
    error = capfd.readouterr().err
    assert said in error
    assert error.count("\n") == 1
    assert not list(table.parent.glob("*-evaluations"))


@pytest.mark.slow
def test_what_cannot_be_drawn_leaves_nothing(table: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Figure, "savefig", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        Anomaly(scores=str(table), normal="none")([])
    assert list(table.parent.iterdir()) == [table]


def test_runs_and_a_table_are_not_judged_together(linear: Run, table: Path) -> None:
    with pytest.raises(lenskit.UsageError, match="--scores is a table of scores and needs no run: pass .* or runs"):
        Anomaly(scores=str(table), normal="none")([linear])
