"""Tests of `lenskit package`, and of packaged encoders used in place of runs."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import lenskit
from lenskit.cli.main import run as command
from lenskit.encoder import Encoder
from lenskit.errors import LenskitError, UsageError
from lenskit.evaluation import EncoderRun, Run, StoredLenses, open_run
from lenskit.plugin import Parameter
from lenskit_evaluation.finetune.model import FineTuned
from lenskit_evaluation.head import Head
from lenskit_evaluation.package import linear_of
from lenskit_evaluation.regression import LinearProbe

FEW: dict[str, Any] = {"lenses": 80, "test_lenses": 60}


@pytest.fixture
def labelled(images: Path) -> str:
    """Images whose labels have a unit."""
    labels = images / "labels.csv"
    labels.write_text(labels.read_text().replace("name,width", "name,width_arcsec"))
    return f"fits-folder:{images}?columns.width=width_arcsec"


@pytest.fixture
def packaged(run: Run, tmp_path: Path) -> Path:
    return lenskit.evaluate("package", run, output="mine", summary="Mine", licence="MIT", **FEW)


def test_the_folder_holds_what_was_trained(run: Run, packaged: Path) -> None:
    assert sorted(path.name for path in packaged.iterdir()) == ["encoder.json", "head.safetensors", "model.safetensors"]
    ours, theirs = run.encoder(), Encoder.load(packaged)
    for name, value in theirs.backbone.state_dict().items():
        whole = ours.backbone.state_dict()[name]
        assert value.dtype == whole.dtype
        rounded = whole.half().float() if whole.is_floating_point() and whole.ndim > 1 else whole
        assert torch.equal(value, rounded)
    card = json.loads((packaged / "encoder.json").read_text())
    assert (card["summary"], card["licence"], card["trained_on"]) == (
        "Mine",
        "MIT",
        "lenses of simulator blobs@lenskit-ssl-toys",
    )
    assert card["simulator"] == run.config.sections["simulator"]
    assert card["head"]["parameters"][0]["name"] == "width"


def test_the_card_says_what_the_head_does(packaged: Path) -> None:
    card, head = json.loads((packaged / "encoder.json").read_text()), Head.load(packaged / "head.safetensors")
    (told,) = card["head"]["parameters"]
    assert told["half_width_68"] == pytest.approx(head.half_width(0.68)["width"], abs=1e-5)
    assert told["half_width_95"] == pytest.approx(head.half_width(0.95)["width"], abs=1e-5)
    assert (card["head"]["lenses"], card["head"]["calibrated_on"]) == (80, 60)
    (result,) = card["results"]
    # The residuals of the calibration lenses.
    assert result["mae"] == pytest.approx(head.intervals.residuals.mean(), abs=1e-4)
    assert result["n"] == 60


def test_predictions_need_no_simulation(packaged: Path, images: Path, tmp_path: Path) -> None:
    card = json.loads((packaged / "encoder.json").read_text())
    del card["simulator"], card["checksum"]
    (packaged / "encoder.json").write_text(json.dumps(card))
    assert command(["predict", str(packaged), str(images), "-o", "out.csv"]) == 0
    with (tmp_path / "out.csv").open() as file:
        rows = list(csv.DictReader(file))
    encoder, head = Encoder.load(packaged), Head.load(packaged / "head.safetensors")
    parts = (read.images for read in StoredLenses(encoder.open(str(images))).chunks())
    expected = head.predict(lambda part: encoder.embed(part).astype(np.float64), parts).values["width"]
    assert [row["width"] for row in rows] == [f"{value:.5g}" for value in expected]
    width = head.half_width(0.68)["width"]
    assert [float(row["width_high"]) for row in rows] == pytest.approx((expected + width).tolist(), rel=1e-4)
    assert list(rows[0]) == ["name", "width", "width_low", "width_high", "distance", "unlike_training"]


@pytest.mark.slow
def test_stored_lenses_are_judged_too(run: Run, images: Path, labelled: str) -> None:
    folder = lenskit.evaluate("package", run, output="judged", judge=labelled, **FEW)
    own, judged = json.loads((folder / "encoder.json").read_text())["results"]
    assert (own["on"], judged["on"], judged["n"]) == ("simulator blobs@lenskit-ssl-toys", images.name, 12)
    rows = lenskit.evaluate("predict", folder, [str(images)], output="p.csv", level=0.95)
    truth = np.loadtxt(images / "labels.csv", delimiter=",", skiprows=1, usecols=1)
    found = np.array([float(row["width"]) for row in rows])
    assert judged["mae"] == pytest.approx(np.abs(found - truth).mean(), abs=2e-4)
    within = [
        float(row["width_low"]) <= value <= float(row["width_high"]) for row, value in zip(rows, truth, strict=True)
    ]
    assert judged["within_95"] == pytest.approx(np.mean(within), abs=1e-3)


def test_the_card_holds_no_path(run: Run, images: Path, labelled: str) -> None:
    folder = lenskit.evaluate("package", run, output="own", data=labelled, judge=labelled, lenses=50, test_lenses=50)
    card = json.loads((folder / "encoder.json").read_text())
    assert card["head"]["data"] == images.name
    assert {result["on"] for result in card["results"]} == {images.name}
    assert str(images.parent) not in (folder / "encoder.json").read_text()


@pytest.mark.slow
def test_an_average_is_calibrated_as_it_is_used(run: Run, tmp_path: Path) -> None:
    folder = lenskit.evaluate("package", run, output="turned", average=True, **FEW)
    head, encoder = Head.load(folder / "head.safetensors"), Encoder.load(folder)
    assert head.average
    simulator = run.simulator()
    scene = simulator.scene(0, "probe-test", torch.arange(60))
    shown = simulator.render(scene)
    found = head.predict(lambda part: encoder.embed(part).astype(np.float64), [shown]).values["width"]
    residuals = np.sort(np.abs(scene["width"].double().numpy() - found))
    np.testing.assert_allclose(head.intervals.residuals[:, 0], residuals, atol=1e-5)


def test_without_a_head_nothing_is_fitted(run: Run, tmp_path: Path, images: Path) -> None:
    folder = lenskit.evaluate("package", run, output="bare", head=False, half=False)
    assert sorted(path.name for path in folder.iterdir()) == ["encoder.json", "model.safetensors"]
    with torch.inference_mode():
        shown = torch.rand(2, 1, 16, 16)
        torch.testing.assert_close(Encoder.load(folder)(shown), run.encoder()(shown), rtol=0, atol=0)
    with pytest.raises(LenskitError, match=r"bare has no fitted probe yet: run `lenskit probe .*bare` first"):
        lenskit.evaluate("predict", folder, [str(images)])
    with pytest.raises(UsageError, match="bare has no head: `lenskit package` makes an encoder with a head"):
        lenskit.evaluate("predict", folder, [str(images)], model="shipped")


@pytest.mark.slow
def test_a_fine_tuned_model_is_packaged(run: Run, images: Path, tmp_path: Path) -> None:
    quick: dict[str, Any] = {"target": ["width"], "labels": 60, "test_lenses": 60, "epochs": 2, "random": False}
    lenskit.evaluate("finetune", run, name="tuned", **quick)
    folder = lenskit.evaluate("package", run, output="tuned", model="tuned", half=False, **FEW)
    by_run, by_folder = (
        lenskit.evaluate("predict", subject, [str(images)], output="p.csv", overwrite=True, **options)
        for subject, options in ((run, {"model": "tuned"}), (folder, {}))
    )
    for ours, theirs in zip(by_run, by_folder, strict=True):
        assert float(theirs["width"]) == pytest.approx(float(ours["width"]), rel=1e-4)


@pytest.mark.slow
def test_bad_wishes_are_one_line(run: Run, packaged: Path, images: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="the lenses have no parameter 'nothing'; they have width"):
        lenskit.evaluate("package", run, output="other", parameter=["nothing"], **FEW)
    with pytest.raises(UsageError, match="--judge tests the head: omit --no-head"):
        lenskit.evaluate("package", run, output="other", head=False, judge="a")
    (images / "labels.csv").write_text((images / "labels.csv").read_text().replace("width", "shape"))
    with pytest.raises(UsageError, match="has the labels shape, .*: there is no common label"):
        lenskit.evaluate("package", run, output="other", judge=str(images), **FEW)
    with pytest.raises(UsageError, match="package takes one run, got 2"):
        lenskit.evaluate("package", [run, packaged], output="other")
    (tmp_path / "yours").mkdir()
    (tmp_path / "yours" / "model.safetensors").touch()
    with pytest.raises(UsageError, match="model.safetensors exists: choose another --output"):
        lenskit.evaluate("package", run, output="yours", head=False)
    head = packaged / "head.safetensors"
    other = lenskit.evaluate("package", run, output="other", **FEW)
    (other / "head.safetensors").write_bytes(head.read_bytes()[:100])
    with pytest.raises(LenskitError, match="head.safetensors is damaged"):
        lenskit.evaluate("predict", other, ["a"])
    with pytest.raises(UsageError, match=r"other/encoder.json exists: .* replace it with --overwrite"):
        lenskit.evaluate("package", run, output="other", head=False)
    assert lenskit.evaluate("package", run, output="other", head=False, overwrite=True) == other
    assert not (other / "head.safetensors").exists()


@pytest.mark.slow
def test_evaluations_take_an_encoder_in_place_of_a_run(
    packaged: Path, images: Path, labelled: str, tmp_path: Path
) -> None:
    few: dict[str, Any] = {"lenses": 40, "test_lenses": 20}
    found = lenskit.evaluate("probe", packaged, seeds=1, mlp=False, curves=False, controls=False, **few)
    assert found.main == "mine"
    predicted = lenskit.evaluate("predict", packaged, [str(images)], model="probe", output="probe.csv")
    assert "unlike_simulations" in predicted[0]
    embedded = lenskit.evaluate("embed", packaged, lenses=10)["mine"]
    assert embedded.path == tmp_path / "mine-evaluations" / "embed" / "features.zarr"
    near = lenskit.evaluate("neighbours", packaged, [str(images)], lenses=20, k=2)
    assert len(near) == 24
    again = lenskit.evaluate("neighbours", packaged, [str(images)], archive=str(embedded.path), k=1, overwrite=True)
    assert len(again) == 12
    tuned = lenskit.evaluate("finetune", packaged, data=str(images), labels=6, test_lenses=10, epochs=1, random=False)
    assert list(tuned.models) == ["mine"]
    assert tuned.models["mine"].card["data"] == images.name
    moved = lenskit.evaluate("transfer", packaged, data=labelled, lenses=60, test_lenses=50)
    assert set(moved.gaps) == {"mine", "random"}
    judged = lenskit.evaluate("anomaly", packaged, simulator="marked", lenses=60)
    assert judged
    with pytest.raises(LenskitError, match="an encoder has no configuration, so it has no section 'pairs': use a run"):
        lenskit.evaluate("invariance", packaged, **few)


@pytest.mark.slow
def test_an_encoder_by_name_beside_a_run(run: Run, images: Path, tmp_path: Path) -> None:
    rows = lenskit.evaluate("predict", "dotty", [str(images)], output="p.csv")
    assert len(rows) == 12
    assert isinstance(open_run("dotty"), EncoderRun)
    found = lenskit.evaluate("embed", [run, "dotty"], lenses=6, output="both")
    assert list(found) == ["blobs", "dotty"]


@pytest.mark.slow
def test_an_encoder_of_any_shape_stands_beside_a_run(run: Run, images: Path, tmp_path: Path) -> None:
    card = {"backbone": {"name": "tiny"}, "input": {"stretch": "linear", "size": 12, "channels": 3}}
    Encoder.untrained(card | {"image_shape": None}, seed=0).save(tmp_path / "public")
    few: dict[str, Any] = {"lenses": 40, "test_lenses": 20}
    found = lenskit.evaluate("probe", [run, "public"], seeds=1, mlp=False, curves=False, controls=False, **few)
    assert {"blobs", "public"} <= {row.label for row in found.rows}
    tuned = lenskit.evaluate("finetune", "public", data=str(images), labels=6, test_lenses=10, epochs=1)
    assert tuned.models["public"].encoder.image_shape is None
    (model,) = (tmp_path / "public-evaluations" / "finetune").iterdir()
    assert len(lenskit.evaluate("predict", "public", [str(images)], model=model.name, output="p.csv")) == 12
    np.save("one.npy", np.random.default_rng(0).random((20, 30)))
    assert len(lenskit.evaluate("neighbours", "public", ["one.npy"], archive=str(images), k=2)) == 2


def test_a_fine_tuned_head_is_the_same_linear_map() -> None:

    card = {"backbone": {"name": "tiny"}, "input": {}, "image_shape": [1, 16, 16]}
    encoder = Encoder.untrained(card, seed=0).eval()
    targets = [Parameter("a", "arcsec"), Parameter("kind", classes=("x", "y")), Parameter("b")]
    model = FineTuned(encoder, targets)
    images = torch.rand(20, 1, 16, 16, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        labels = torch.stack([torch.linspace(1, 2, 20), torch.arange(20) % 2, torch.linspace(-3, 5, 20)], 1)
        model.standardise(encoder(images), labels)
    torch.nn.init.normal_(model.head.weight)
    torch.nn.init.normal_(model.head.bias)
    found = model.predict([images])
    linear = linear_of(model, ["a", "b"])
    assert isinstance(linear, LinearProbe)
    assert (linear.names, linear.units) == (("a", "b"), ("arcsec", ""))
    np.testing.assert_allclose(linear.predict(found.features), np.stack([found.values[n] for n in "ab"], 1), rtol=1e-4)
