"""Training, results and files of `lenskit finetune`."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from sklearn.metrics import accuracy_score, mean_absolute_error, r2_score, root_mean_squared_error
from torch import Tensor

from lenskit.api import evaluate
from lenskit.cli.main import run as lenskit
from lenskit.errors import UsageError
from lenskit.evaluation import Run, SimulatedLenses
from lenskit.plugin import Dataset, Parameter
from lenskit_evaluation.baselines import CONSTANT
from lenskit_evaluation.finetune.evaluation import Finetune
from lenskit_evaluation.finetune.model import FineTuned

QUICK: dict[str, Any] = {"target": ["width"], "labels": 40, "test_lenses": 40, "epochs": 3, "lr": 0.05}


class Kinds(Dataset):
    """Images of noise in memory; those of the class `bright` have a bright spot."""

    image_shape = (1, 16, 16)

    def __init__(self, n: int = 120, **values: np.ndarray) -> None:
        rng = np.random.default_rng(0)
        self.values = {"bright": rng.integers(2, size=n).astype(float), "width": rng.random(n), **values}
        self.parameters = [
            Parameter("bright", classes=("dark", "bright")) if name == "bright" else Parameter(name, "arcsec")
            for name in self.values
        ]
        self.names = [f"image{number}" for number in range(n)]
        spot = np.zeros((16, 16))
        spot[6:10, 6:10] = 20
        bright = np.nan_to_num(self.values["bright"])[:, None, None, None]
        self.images = (rng.normal(size=(n, *self.image_shape)) + spot * bright).astype(np.float32)

    def read(self, index: Any) -> tuple[Tensor, dict[str, Tensor]]:
        rows = np.asarray(index)
        known = {name: torch.from_numpy(value[rows].astype(np.float32)) for name, value in self.values.items()}
        return torch.from_numpy(self.images[rows])[:, None], known


class Given(Finetune):
    """`lenskit finetune` on a data set in memory."""

    def __init__(self, dataset: Dataset, **options: Any) -> None:
        super().__init__(**{"test_lenses": 40, "labels": 60, "epochs": 3, "lr": 0.05, "random": False} | options)
        self._dataset = dataset

    def origin(self, run: Run) -> tuple[Dataset, str]:
        return self._dataset, "memory"


@pytest.mark.slow
def test_scores_are_scikit_learns_on_the_whole_test_set(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert lenskit(["finetune", "--from", str(run.path), "--target", "width", "--labels", "60",
                    "--test-lenses", "50", "--epochs", "3", "--lr", "0.05", "--name", "one"]) == 0  # fmt: skip
    folder = run.folder("finetune/one")
    model = FineTuned.load(folder)
    lenses = SimulatedLenses(run.simulator(), seed=0, split="probe-test").read(range(50))
    wide = lenses.arrays()["width"]
    predicted = model.predict([lenses.images]).values["width"]
    found = {row["start"]: row for row in json.loads((folder / "results.json").read_text())["trained"]}
    assert list(found) == ["blobs", "random start", "constant"]
    scores = found["blobs"]["scores"]["width"]
    assert scores["n"] == 50
    for name, reference in (("r2", r2_score), ("mae", mean_absolute_error), ("rmse", root_mean_squared_error)):
        assert scores[name]["value"] == pytest.approx(reference(wide, predicted), rel=1e-6)
        assert scores[name]["low"] < scores[name]["value"] < scores[name]["high"]
    mean = found["constant"]["scores"]["width"]
    assert mean["r2"]["value"] <= 0
    assert mean["rmse"]["value"] >= wide.std() - 1e-9
    printed = capsys.readouterr().out
    assert "spread of labels" in printed
    assert f"{wide.std():.3f}" in printed
    for picture in ("width", "learning_curves"):
        assert (folder / f"{picture}.png").read_bytes().startswith(b"\x89PNG")
    with (folder / "predictions.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [float(row["width (blobs)"]) for row in rows] == pytest.approx(predicted.tolist(), rel=1e-5)
    card = json.loads((folder / "card.json").read_text())
    assert [(target["name"], target["unit"]) for target in card["targets"]] == [("width", "arcsec")]
    assert (card["data"], card["learned_from"], card["stopped_by"]) == ("simulator blobs@lenskit-ssl-toys", 48, 12)


@pytest.mark.slow
@pytest.mark.parametrize("freeze", ["frozen", "full"])
def test_what_is_frozen_stays(run: Run, freeze: str) -> None:
    before = run.encoder().state_dict()
    after = Finetune(**QUICK, freeze=freeze, random=False)([run]).models["blobs"].encoder.state_dict()
    same = {name: torch.equal(value, after[name]) for name, value in before.items()}
    # Weights and batch norm statistics.
    assert any("running_mean" in name for name in same)
    assert set(same.values()) == {freeze == "frozen"}


@pytest.mark.slow
def test_the_same_seed_gives_the_same_and_disturbs_nothing(run: Run, tmp_path: Path) -> None:
    shutil.copytree(run.path, tmp_path / "again" / "blobs")
    torch.manual_seed(1)
    state = torch.get_rng_state()
    first = Finetune(**QUICK, seeds=2, random=False)([run])
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(2)
    second = Finetune(**QUICK, seeds=2, random=False)([Run(tmp_path / "again" / "blobs")])
    for a, b in zip(first.trained, second.trained, strict=True):
        assert repr((a.label, a.seed, a.scores)) == repr((b.label, b.seed, b.scores))  # repr, because NaN != NaN
    weights = [next(findings.folders[0].glob("*.safetensors")).read_bytes() for findings in (first, second)]
    assert weights[0] == weights[1]
    # Another seed trains on other lenses. The saved model is the one of the first seed.
    assert first.trained[0].scores != first.trained[1].scores
    kept = first.models["blobs"].predict([first.test.images]).values["width"]
    assert kept.tolist() == first.trained[0].predictions["width"].tolist()


def test_seeds_learn_from_other_lenses_while_there_are_enough(caplog: pytest.LogCaptureFixture) -> None:
    evaluation = Finetune(labels=20, seeds=3, validation=0.25)
    with caplog.at_level("INFO", "lenskit"):
        parts = evaluation.parts(60)
        assert not caplog.text
        assert sorted(np.concatenate([lens for part in parts for lens in part])) == list(range(60))
        few = evaluation.parts(59)
    assert "59 lenses are too few for 3 seeds of 20: seeds have lenses in common" in caplog.text
    for train, validation in (*parts, *few):
        assert (len(train), len(validation)) == (15, 5)
        assert not set(train) & set(validation)
    assert len({tuple(train) for train, _ in few}) == 3


@pytest.mark.slow
def test_several_runs_share_lenses_and_each_gets_its_model(run: Run, tmp_path: Path) -> None:
    shutil.copytree(run.path, tmp_path / "other")
    findings = Finetune(**QUICK, freeze="frozen")([run, Run(tmp_path / "other")])
    labels = [each.label for each in findings.trained]
    assert labels == ["blobs", "other", "random start", CONSTANT]
    # Both runs have the same encoder, lenses and seed.
    a, b = (findings.trained[number].predictions["width"] for number in (0, 1))
    assert a.tolist() == b.tolist()
    assert findings.r2("blobs") == findings.r2("other") != findings.r2("random start")
    assert {folder.parent.parent.parent.name for folder in findings.folders} == {"blobs", "other"}
    assert all((folder / "model.safetensors").is_file() for folder in findings.folders)


@pytest.mark.slow
def test_classes(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    dataset = Kinds()
    findings = Given(dataset, target=["bright", "width"], labels=60, test_lenses=30, epochs=10)([run])
    each = findings.trained[0]
    truth = findings.test.values["bright"]
    probabilities = each.predictions["bright"]
    np.testing.assert_allclose(probabilities.sum(1), 1)
    assert each.scores["bright"].accuracy.value == accuracy_score(truth, probabilities.argmax(1))
    assert each.scores["bright"].roc_auc.value > 0.9  # the spot is bright
    constant = findings.trained[-1].scores["bright"]
    assert (constant.roc_auc.value, constant.balanced_accuracy.value) == (0.5, 0.5)
    printed = capsys.readouterr().out
    assert "balanced accuracy" in printed
    assert (findings.folders[0] / "bright.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_labels_that_are_not_known_are_dropped_and_counted(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    width = np.random.default_rng(0).random(120)
    width[::2] = np.nan
    findings = Given(Kinds(width=width), target=["width"], labels=40)([run])
    assert np.isfinite(findings.test.values["width"]).all()
    assert findings.test.dropped + len(findings.test) == 30  # a quarter of 120
    assert findings.trained[0].scores["width"].dropped == findings.test.dropped > 0
    assert "to train on are left out: width is not known" in caplog.text
    with pytest.raises(UsageError, match=r"memory has only \d\d lenses to train on .*: use --labels \d\d or fewer"):
        Given(Kinds(width=width), target=["width"], labels=60)([run])
    with pytest.raises(UsageError, match="known for none of the 90 lenses to train on"):
        Given(Kinds(width=np.full(120, np.nan)), target=["width"])([run])


@pytest.mark.slow
@pytest.mark.parametrize("wrong", [-1.0, 2.0])
def test_numbers_that_no_class_has_are_not_known(run: Run, wrong: float) -> None:
    """A number without a class, such as -1 in some catalogues, is a missing value."""
    bright = np.arange(120) % 2.0
    bright[::5] = wrong
    same = bright.copy()
    same[::5] = np.nan
    found, expected = (Given(Kinds(bright=each), target=["bright"], labels=40)([run]) for each in (bright, same))
    assert found.test.dropped == expected.test.dropped > 0
    assert found.test.dropped + len(found.test) == 30
    assert set(found.test.values["bright"]) == {0, 1}
    assert [each.scores for each in found.trained] == [each.scores for each in expected.trained]


def test_no_model_without_its_report(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: Any, **__: Any) -> None:
        raise RuntimeError("no picture")

    monkeypatch.setattr(Figure, "savefig", fails)
    with pytest.raises(RuntimeError, match="no picture"):
        Given(Kinds(), target=["width"])([run])
    assert not [path for path in run.folder("finetune").rglob("*") if path.is_file()]


def test_says_what_is_wrong_before_it_works(run: Run) -> None:
    with pytest.raises(
        UsageError, match=r"simulator blobs@lenskit-ssl-toys has no label 'widht': did you mean width\?"
    ):
        Finetune(target=["widht"])([run])
    with pytest.raises(UsageError, match="width is 1 for all of the .* no R2"):
        Given(Kinds(width=np.ones(120)), target=["width"])([run])
    with pytest.raises(UsageError, match="bright is bright for all of the .* no AUC"):
        Given(Kinds(bright=np.ones(120)), target=["bright"])([run])
    with pytest.raises(UsageError, match="bright: known for none of the 90 lenses"):
        Given(Kinds(bright=np.full(120, 7.0)), target=["bright"])([run])
    with pytest.raises(UsageError, match="has the labels bright, width: choose one with --target NAME"):
        Given(Kinds())([run])
    nothing = Kinds()
    nothing.parameters = []
    with pytest.raises(UsageError, match="memory has no labels"):
        Given(nothing)([run])
    three = Kinds()
    three.image_shape = (3, 16, 16)
    with pytest.raises(UsageError, match="memory has images of 3 x 16 x 16, but blobs takes 1 x 16 x 16"):
        Given(three, target=["width"])([run])
    with pytest.raises(UsageError, match="--name takes the name of a folder"):
        Finetune(name="../up")
    with pytest.raises(UsageError, match="center_x changes when its image is rotated, and center_y, which the"):
        Given(Kinds(center_x=np.random.default_rng(0).random(120)), target=["center_x"])([run])
    assert not any(run.folder("finetune").iterdir())


@pytest.mark.slow
def test_a_model_of_other_settings_stays(run: Run) -> None:
    options = {**QUICK, "random": False}
    first = [evaluate("finetune", run, **options).folders[0] for _ in range(2)]
    assert [folder.name for folder in first] == ["width-blobs_lenskit-ssl-toys-full-40"] * 2
    kept = (first[0] / "model.safetensors").read_bytes()
    assert evaluate("finetune", run, **options, seed=4).folders[0].name == "width-blobs_lenskit-ssl-toys-full-40-2"
    assert (
        evaluate("finetune", run, **options, set=["width=uniform(1, 2)"]).folders[0].name
        == "width-blobs_lenskit-ssl-toys-full-40-3"
    )
    evaluate("finetune", run, **options, name="mine")
    with pytest.raises(UsageError, match="mine holds a result of finetune with different settings, data or runs"):
        evaluate("finetune", run, **options, seed=4, name="mine")
    assert (first[0] / "model.safetensors").read_bytes() == kept
    assert evaluate("finetune", run, **options, seed=4, overwrite=True).folders == first[:1]
    assert (first[0] / "model.safetensors").read_bytes() != kept


@pytest.mark.slow
def test_no_weights_of_photographs_is_one_line(run: Run, caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    findings = Finetune(**QUICK, random=False, imagenet=True)([run])
    assert [each.label for each in findings.trained] == ["blobs", CONSTANT]
    assert "no ImageNet start: backbone 'tiny@lenskit-ssl-toys' has no option 'pretrained'" in caplog.text
