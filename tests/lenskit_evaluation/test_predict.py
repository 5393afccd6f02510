"""Tests of `lenskit predict` with fine-tuned models and heads.

The tests with probes are in probe/.
"""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from astropy.io import fits

from lenskit.api import evaluate
from lenskit.cli.main import run as lenskit
from lenskit.config import Config
from lenskit.errors import LenskitError, UsageError
from lenskit.evaluation import Run
from lenskit.plugin import Parameter
from lenskit.training.runner import train
from lenskit_evaluation.finetune.evaluation import Finetune
from lenskit_evaluation.finetune.model import FineTuned
from lenskit_evaluation.predict import Predict

QUICK: dict[str, Any] = {"target": ["width"], "labels": 60, "test_lenses": 60, "epochs": 3, "random": False}


def pixels(images: Path) -> torch.Tensor:
    """Return the central 16 x 16 pixels of the files, in their order."""
    files = sorted(images.glob("*.fits"))
    return torch.from_numpy(np.stack([fits.getdata(file)[1:17, 1:17].astype(np.float32) for file in files]))[:, None]


@pytest.mark.slow
def test_files_give_what_the_model_in_memory_gives(run: Run, images: Path, tmp_path: Path) -> None:
    model = Finetune(**QUICK)([run]).models["blobs"]
    name = "width-blobs_lenskit-ssl-toys-full-60"
    assert lenskit(["predict", str(run.path), str(images), "--model", name, "-o", "out.csv"]) == 0
    with (tmp_path / "out.csv").open() as file:
        rows = list(csv.DictReader(file))
    predicted = model.predict([pixels(images)])
    expected = predicted.values["width"]
    assert [row["width"] for row in rows] == [f"{value:.5g}" for value in expected]
    width = model.half_width(0.68)["width"]
    assert [float(row["width_high"]) for row in rows] == pytest.approx((expected + width).tolist(), rel=1e-4)
    assert model.outliers is not None
    flags = model.outliers.is_outlier(predicted.features)
    assert [row["unlike_training"] == "1" for row in rows] == flags.tolist()


@pytest.mark.slow
def test_intervals_hold_the_stated_share_of_those_judged_on(run: Run) -> None:
    findings = Finetune(**QUICK)([run])
    model, test = findings.models["blobs"], findings.test
    error = np.abs(model.predict([test.images]).values["width"] - test.values["width"])
    # The smallest half-width with a coverage of 68 % for 61 images, one more than the 60 test images.
    assert np.sum(error <= model.half_width(0.68)["width"]) == np.ceil(0.68 * 61)


def classifier(run: Run) -> FineTuned:
    """Save a model of a class label as `kinds`, and return it."""
    model = FineTuned(run.encoder(), [Parameter("kind", classes=("spiral", "elliptical"))])
    torch.nn.init.normal_(model.head.weight)
    model.save(run.folder("finetune/kinds"))
    return model


def test_options_in_python_may_be_paths(run: Run, images: Path, tmp_path: Path) -> None:
    classifier(run)
    output, model = tmp_path / "kinds.csv", run.folder("finetune/kinds")
    rows = evaluate("predict", run, [images], output=output, model=model)
    with output.open() as file:
        assert [*csv.DictReader(file)] == rows


def test_classes_give_probabilities(run: Run, images: Path) -> None:
    model = classifier(run)
    rows = Predict(model="kinds")([run], [str(images)])
    shares = np.array([[float(row["kind_p_spiral"]), float(row["kind_p_elliptical"])] for row in rows])
    np.testing.assert_allclose(shares.sum(1), 1, atol=2e-4)
    np.testing.assert_allclose(shares, model.predict([pixels(images)]).values["kind"], atol=1e-4)
    assert [row["kind"] for row in rows] == [("spiral", "elliptical")[i] for i in shares.argmax(1)]
    assert "unlike_training" not in rows[0]


@pytest.mark.slow
def test_the_head_of_a_supervised_run(tmp_path: Path, images: Path) -> None:
    config = Config.resolve(
        {
            "train": {"lenses": 64, "epochs": 1, "batch_size": 32},
            "simulator": {"name": "blobs"},
            "pairs": {"name": "single"},
            "method": {"name": "supervised", "targets": ["width"]},
            "backbone": {"name": "tiny"},
        }
    )
    run = train(config, tmp_path / "taught", progress=False)
    rows = Predict(model="head")([run], [str(images)])
    method = run.method()
    expected = method.predict(run.encoder().preprocess(pixels(images)))["width"]
    assert [float(row["width"]) for row in rows] == pytest.approx(expected.tolist(), rel=1e-4)
    assert list(rows[0]) == ["name", "width"]


@pytest.mark.slow
def test_says_which_models_there_are(run: Run, images: Path) -> None:
    with pytest.raises(UsageError, match=r"has no fine-tuned model 'mine': `lenskit finetune .*blobs` makes one"):
        Predict(model="mine")([run], [str(images)])
    Finetune(**QUICK, name="mine")([run])
    with pytest.raises(UsageError, match=r"has no fine-tuned model 'mind': did you mean mine\?"):
        Predict(model="mind")([run], [str(images)])
    with pytest.raises(UsageError, match="--model head is for runs of a method that predicts.*is restless"):
        Predict(model="head")([run], [str(images)])
    (images / "labels.csv").unlink()
    for file in images.glob("*.fits"):
        fits.writeto(file, np.ones((3, 18, 18), np.float32), overwrite=True)
    with pytest.raises(UsageError, match="has images of 3 x 16 x 16, but the model takes 1 x 16 x 16"):
        Predict(model="mine")([run], [str(images)])


@pytest.mark.slow
def test_a_damaged_model_is_an_error(run: Run, images: Path) -> None:
    Finetune(**QUICK, name="mine")([run])
    path = run.folder("finetune/mine") / "model.safetensors"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(LenskitError, match=r"model\.safetensors is damaged"):
        Predict(model="mine")([run], [str(images)])
    safetensors.torch.save_file({"a": torch.zeros(1)}, path)
    with pytest.raises(LenskitError, match="is not a fine-tuned model of format 1"):
        Predict(model="mine")([run], [str(images)])
