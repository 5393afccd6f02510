"""Anomaly scores of runs and baselines."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch

from lenskit.config import Config
from lenskit.errors import LenskitError
from lenskit.plugin import UsageError
from lenskit.run import Run
from lenskit.store.simulate import simulate
from lenskit.toolbox import Plan
from lenskit_evaluation.anomaly.reconstructions import wasserstein
from lenskit_evaluation.anomaly.scored import Options
from lenskit_evaluation.anomaly.scoring import judge_runs

SMALL = {"lenses": 10, "batch_size": 5, "epochs": 1}
"""Settings of a run of two batches on ten images."""


def options(**changes: Any) -> Options:
    """Return options for few lenses."""
    said: dict[str, Any] = {
        "data": None,
        "reference": None,
        "label": None,
        "normal": None,
        "simulator": None,
        "set": [],
        "seed": 0,
        "lenses": 60,
    }
    fitted = {"train_lenses": 40, "neighbours": 2, "batch_size": 16, "baselines": False}
    return Options(**(said | fitted | changes))


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


def test_a_run_scores_lenses_of_all_classes_that_its_simulator_makes(linear: Run):
    truth, scored, shown = judge_runs([linear], options())
    assert truth.classes == ("none", "row", "column")
    assert truth.normal == "none"
    assert truth.anomalies == ("row", "column")
    simulator = linear.simulator(marks=("none", "row", "column"))
    scene = simulator.scene(0, "anomaly-test", torch.arange(60))
    assert truth.label.tolist() == scene["mark"].tolist()
    assert list(truth.names) == [str(i) for i in range(60)]
    images = simulator.render(scene)
    (found,) = scored.values()
    assert found.scores == pytest.approx(linear.score(images)[0], rel=1e-5)
    assert found.errors["MSE"] == pytest.approx(found.scores, rel=1e-4)
    made = torch.from_numpy(linear.reconstruct(images)[0])
    assert found.errors["W1"] == pytest.approx(wasserstein(images, made).numpy(), rel=1e-4)
    assert found.images_per_second > 0
    assert shown is not None
    assert [*shown.classes] == ["none"] * 3 + ["row"] * 3 + ["column"] * 3
    first_row = int(np.flatnonzero(truth.label == 1)[0])
    assert shown.images["linear"][3] == pytest.approx(images[first_row].numpy(), abs=1e-6)
    assert shown.reconstructions["linear"][3] == pytest.approx(made[first_row].numpy(), abs=1e-4)


@pytest.mark.slow
def test_what_stands_beside_it_finds_what_is_bright(linear: Run, restless: Run):
    truth, scored, _ = judge_runs([linear, restless], options(baselines=True))
    assert [*scored] == ["linear", "linear (neighbours)", "restless", "PCA", "one-class SVM", "pixels"]
    assert scored["restless"].kind == scored["linear (neighbours)"].kind == "distance in features"
    strange = truth.label != 0
    for name in ("PCA", "one-class SVM", "pixels"):
        assert np.median(scored[name].scores[strange]) > np.median(scored[name].scores[~strange]), name


@pytest.mark.slow
def test_it_comes_out_the_same_again_also_where_a_method_draws(train_toy):
    run = train_toy("linear", method={"name": "linear", "draw": 0.5})
    first, second = (judge_runs([run], options())[1]["linear"] for _ in range(2))
    assert np.array_equal(first.scores, second.scores)
    assert np.array_equal(first.errors["MSE"], second.errors["MSE"])
    assert first.errors["MSE"] == pytest.approx(first.scores, rel=1e-4)  # the error of the image that was scored


def test_stored_images_are_judged_by_their_folders(linear: Run, stored_marks: Path):
    truth, scored, _ = judge_runs([linear], options(data=f"deeplense-npy:{stored_marks}"))
    assert truth.classes == ("column", "none", "row")
    assert truth.normal == "none"
    assert np.bincount(truth.label).tolist() == [10, 10, 10]
    file = stored_marks / "row" / "3.npy"
    (place,) = [i for i, name in enumerate(truth.names) if "row" in name and "3" in name]
    assert scored["linear"].scores[place] == pytest.approx(linear.score(np.load(file)[None])[0][0], rel=1e-5)


def test_a_class_by_a_usual_name_is_normal_where_training_calls_it_otherwise(
    linear: Run, stored_marks: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    shutil.copytree(stored_marks, tmp_path / "data")
    (tmp_path / "data" / "none").rename(tmp_path / "data" / "no_sub")
    with caplog.at_level(logging.WARNING):
        assert judge_runs([linear], options(data=str(tmp_path / "data")))[0].normal == "no_sub"
    assert not warnings(caplog)


def test_images_of_unknown_class_are_left_out_and_counted(
    linear: Run, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    simulator = linear.simulator()
    images = simulator.render(simulator.scene(3, "files", torch.arange(16))).numpy()
    with h5py.File(tmp_path / "lenses.h5", "w") as file:
        file["images"] = images
        file["kind"] = ["", "none", "", "row"] * 4
    with caplog.at_level(logging.WARNING):
        truth, scored, _ = judge_runs([linear], options(data=str(tmp_path / "lenses.h5")))
    assert [truth.classes[label] for label in truth.label] == ["none", "row"] * 4
    assert scored["linear"].scores == pytest.approx(linear.score(images[1::2])[0], rel=1e-5)
    assert "the class of 8 of 16 images is not known: they are left out" in warnings(caplog)


def test_anomalies_in_the_training_are_warned_of(train_toy, caplog: pytest.LogCaptureFixture):
    run = train_toy("linear", simulator={"name": "marked", "marks": ("none", "row")})
    with caplog.at_level(logging.WARNING):
        truth, _, _ = judge_runs([run], options())
    assert truth.normal == "none"
    seen = run.simulator().scene(0, "train", torch.arange(40))["mark"]
    (said,) = warnings(caplog)
    assert f"of 40 training lenses, {int((seen == 1).sum())} are row" in said


def test_labels_of_something_else_are_no_anomalies(
    train_toy, stored_marks: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    shutil.copytree(stored_marks / "none", tmp_path / "data" / "north")
    shutil.copytree(stored_marks / "none", tmp_path / "data" / "south")
    run = train_toy("linear", data={"path": str(tmp_path / "data"), "name": "image-folder"}, train=SMALL)
    with caplog.at_level(logging.WARNING):
        assert judge_runs([run], options(data=str(stored_marks)))[0].normal == "none"
    assert not warnings(caplog)


def test_a_classifier_is_told_what_is_normal_and_not_warned(train_toy, caplog: pytest.LogCaptureFixture):
    run = train_toy(
        "supervised",
        simulator={"name": "marked", "marks": ("none", "row", "column")},
        method={"name": "supervised", "targets": "mark"},
    )
    with caplog.at_level(logging.WARNING):
        _, scored, _ = judge_runs([run], options())
    assert not warnings(caplog)
    found = scored["supervised"]
    assert found.kind == "probability"
    assert found.scores.max() <= 1
    logits = run.method().head(torch.from_numpy(run.embed(60, split="anomaly-test")[0]))
    assert found.scores == pytest.approx(1 - logits.softmax(1)[:, 0].detach().numpy(), abs=1e-5)


@pytest.mark.slow
def test_a_run_on_stored_images_takes_its_neighbours_from_these(train_toy, stored_marks: Path):
    data = {"path": str(stored_marks / "none"), "name": "image-folder"}
    run = train_toy("restless", data=data, train=SMALL, pairs={"name": "default"})
    truth, scored, shown = judge_runs([run], options(data=str(stored_marks), normal="none"))
    assert shown is None
    assert len(scored["restless"].scores) == 30
    # Each normal image is also a training lens, so that its nearest training lens is itself.
    nearest = judge_runs([run], options(data=str(stored_marks), normal="none", neighbours=1))[1]["restless"].scores
    assert nearest[truth.label == 1] == pytest.approx(0, abs=1e-3)
    assert nearest[truth.label == 0].min() > 1e-3
    with pytest.raises(UsageError, match="was trained on stored images: pass different images with --data PATH"):
        judge_runs([run], options())


@pytest.mark.parametrize(
    ("changes", "said"),
    {
        "nothing strange": (
            {"set": ["marks=['none']"]},
            "all 60 images are of the class none: without anomalies AUC is not",
        ),
        "nothing normal": ({"set": ["marks=['row']"]}, "none of the 60 images is of the class none: without"),
        "no such class": (
            {"normal": "nome"},
            "there is no class 'nome' (did you mean none?); there are none, row, c",
        ),
        "no such label": ({"label": "marc"}, "there is no class label 'marc' (did you mean mark?); there are mark"),
        "no label": ({"simulator": "blobs"}, "these images have no class label"),
        "other images": ({"set": ["pixels=32"]}, "the encoder takes images (n, 1 x 16 x 16), got 1 x 1 x 32 x 32"),
    }.values(),
)
def test_what_cannot_be_judged_is_said_in_one_line(linear: Run, changes: dict[str, Any], said: str):
    with pytest.raises(LenskitError) as caught:
        judge_runs([linear], options(**changes))
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_scores_that_are_no_numbers_are_counted(train_toy):
    run = train_toy("linear", method={"name": "linear", "broken": True})
    with pytest.raises(LenskitError, match="linear gives 60 of 60 images the score NaN"):
        judge_runs([run], options())


def test_only_a_backbone_is_judged_by_its_neighbours(linear: Run, tmp_path: Path):
    shutil.copytree(linear.path, tmp_path / "run")
    shutil.copytree(linear.path / "encoder", tmp_path / "run" / "best")
    scored = judge_runs([Run(tmp_path / "run" / "best")], options())[1]
    assert [found.kind for found in scored.values()] == ["distance in features"]


def test_which_class_is_normal_has_to_be_said_where_nothing_tells(train_toy, stored_marks: Path, tmp_path: Path):
    shutil.copytree(stored_marks, tmp_path / "data")
    (tmp_path / "data" / "none").rename(tmp_path / "data" / "plain")
    run = train_toy("linear", data={"path": str(tmp_path / "data"), "name": "image-folder"}, train=SMALL)
    shutil.copytree(tmp_path / "data", tmp_path / "others")
    with pytest.raises(UsageError, match="the normal class of column, plain, row is not known"):
        judge_runs([run], options(data=str(tmp_path / "others")))


def simulated_store(path: Path, **changes: Any) -> Path:
    """Return a store of simulated blobs with all marks."""
    section = {"name": "marked", "marks": ["none", "row", "column"]}
    plan = Plan.of(Config.resolve({"simulator": section, "pairs": {"name": "single"}}), lenses=24, **changes)
    simulate(plan, path)
    return path


@pytest.mark.slow
def test_lenses_that_were_trained_on_are_refused(linear: Run, train_toy, tmp_path: Path):
    seen, other = simulated_store(tmp_path / "seen.zarr"), simulated_store(tmp_path / "test.zarr", split="test")
    with pytest.raises(UsageError) as caught:
        judge_runs([linear], options(data=str(seen)))
    assert str(caught.value) == (
        "linear was trained on lenses of simulator marked@lenskit-ssl-toys, seed 0, split train, so its scores would "
        "be too good: use different lenses, for example from `lenskit simulate --split test`"
    )
    assert len(judge_runs([linear], options(data=str(other)))[0].label) == 24
    # A copy of the store is refused as well.
    method = {"name": "supervised", "targets": "mark"}
    run = train_toy("supervised", data={"path": str(seen), "name": "zarr"}, train=SMALL, method=method)
    with pytest.raises(
        UsageError, match="supervised was trained on lenses of simulator marked@lenskit-ssl-toys, seed 0, split train"
    ):
        judge_runs([run], options(data=str(shutil.copytree(seen, tmp_path / "copy.zarr"))))
    assert len(judge_runs([run], options(data=str(other)))[0].label) == 24


def test_a_folder_that_was_trained_on_is_refused(train_toy, stored_marks: Path, tmp_path: Path):
    run = train_toy("linear", data={"path": str(stored_marks), "name": "image-folder"}, train=SMALL)
    (tmp_path / "link").symlink_to(stored_marks)
    with pytest.raises(UsageError, match="linear was trained on .*link, so its scores would be too good: use diff"):
        judge_runs([run], options(data=f"deeplense-npy:{tmp_path / 'link'}"))


def test_images_that_were_trained_on_are_warned_of(train_toy, stored_marks: Path, caplog: pytest.LogCaptureFixture):
    data = {"path": str(stored_marks / "none"), "name": "image-folder"}
    run = train_toy("linear", data=data, train=SMALL)
    judge_runs([run], options(data=str(stored_marks), normal="none", baselines=True))
    said = "at least 10 of the 30 images are equal to training images of linear, so its metrics are too good"
    assert said in warnings(caplog)


@pytest.mark.slow
def test_baselines_leave_their_names_to_runs(linear: Run, tmp_path: Path):
    paths = [tmp_path / name for name in ("PCA", "PCA (neighbours)")]
    runs = [Run(shutil.copytree(linear.path, path)) for path in paths]
    scored = judge_runs(runs, options(baselines=True))[1]
    assert {name: found.run for name, found in scored.items()} == {
        "PCA": "PCA",
        "PCA (neighbours) (baseline)": "PCA",
        "PCA (neighbours)": "PCA (neighbours)",
        "PCA (neighbours) (neighbours)": "PCA (neighbours)",
        "PCA (baseline)": "",
        "one-class SVM": "",
        "pixels": "",
    }
    assert scored["PCA"].kind == scored["PCA (baseline)"].kind == "reconstruction error"
    assert scored["PCA"].scores == pytest.approx(judge_runs([linear], options())[1]["linear"].scores)
    assert (scored["PCA"].training_lenses, scored["PCA (baseline)"].training_lenses) == (None, 40)


def test_simulated_pixels_of_another_size_are_warned_of(train_toy, caplog: pytest.LogCaptureFixture):
    run = train_toy("linear", simulator={"name": "marked", "pixel_scale": 0.1})
    judge_runs([run], options(set=["pixel_scale=0.05"]))
    (said,) = warnings(caplog)
    assert said.startswith('the images have pixels of 0.05", but the encoder was trained on pixels of 0.1"')
    assert "FITS" not in said


def test_runs_on_images_of_different_sizes_are_named(linear: Run, train_toy):
    small = train_toy("small", simulator={"name": "marked", "pixels": 12}, method={"name": "linear"})
    with pytest.raises(UsageError) as caught:
        judge_runs([linear, small], options())
    assert str(caught.value) == (
        "small takes images of 1 x 12 x 12, linear takes images of 1 x 16 x 16: evaluate them with one command each"
    )
