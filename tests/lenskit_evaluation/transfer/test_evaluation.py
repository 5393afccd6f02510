"""Results, files and errors of `lenskit transfer`."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from scipy.stats import binomtest, spearmanr

from lenskit.cli.main import run as lenskit
from lenskit.evaluation import Run
from lenskit_evaluation.baselines import BEST_CONSTANT, RANDOM
from lenskit_evaluation.regression import fit_linear_probe
from lenskit_evaluation.transfer.evaluation import Transfer, share_within

SMALL = {"lenses": 200, "test_lenses": 80}


@pytest.fixture
def labelled(images: Path) -> Path:
    """Return the folder of blobs, with widths in arcsec and one missing width."""
    lines = (images / "labels.csv").read_text().replace("name,width", "name,width_arcsec").splitlines()
    name, _ = lines[5].split(",")
    (images / "labels.csv").write_text("\n".join([*lines[:5], f"{name},", *lines[6:]]) + "\n")
    return images


def data_of(folder: Path) -> str:
    return f"fits-folder:{folder}?columns.width=width_arcsec"


def test_share_within_is_that_of_scipy() -> None:
    found = share_within(np.array([0.1, 0.2, 0.5, 0.9]), 0.5)
    expected = binomtest(3, 4).proportion_ci(method="wilson")
    assert [found.value, found.low, found.high] == pytest.approx([0.75, expected.low, expected.high])
    assert np.isnan(share_within(np.array([]), 1).value)


@pytest.mark.slow
def test_blobs(run: Run, labelled: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = Transfer(data=data_of(labelled), **SMALL)([run])
    findings, truth = found.findings["width"], found.truth["width"]
    assert list(findings) == ["blobs", RANDOM, BEST_CONSTANT]
    known = np.isfinite(truth)
    assert (known.sum(), findings["blobs"].score.n, findings["blobs"].score.dropped) == (11, 11, 1)

    # The same computation without `Transfer`, from the files themselves.
    encoder = run.encoder()
    features, parameters = run.embed(200, split="probe-train")
    probe = fit_linear_probe(features, parameters["width"][:, None], ["width"])
    paths = [labelled / f"{name}.fits" for name in found.names]
    inner = np.stack([np.asarray(fits.getdata(path), np.float32)[None, 1:-1, 1:-1] for path in paths])
    expected = probe.predict(encoder.embed(encoder.images(inner)))[:, 0]
    np.testing.assert_allclose(findings["blobs"].prediction, expected, rtol=1e-4)
    figures = findings["blobs"].score
    assert figures.bias.value == pytest.approx((expected - truth)[known].mean(), rel=1e-3)
    assert figures.spearman.value == pytest.approx(spearmanr(expected[known], truth[known])[0])
    assert findings[BEST_CONSTANT].score.mae.value == pytest.approx(np.abs(truth - np.nanmedian(truth))[known].mean())
    within = np.abs(expected - truth)[known] <= findings["blobs"].half_width[0.68]
    assert findings["blobs"].coverage[0.68].value == pytest.approx(within.mean())

    # The images have the same distribution as the simulated ones: there is no gap, and the coverage is right.
    gap = found.gaps["blobs"]
    assert gap.auc.low < 0.6
    assert gap.p > 0.005
    assert findings["blobs"].coverage[0.95].high > 0.95
    folder = run.path / "evaluations" / "transfer"
    stored = json.loads((folder / "results.json").read_text())
    assert stored["gaps"]["blobs"]["auc"]["value"] == gap.auc.value
    assert stored["settings"]["data"] == data_of(labelled)
    with (folder / "table.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2 * 12
    assert float(rows[0]["mahalanobis_percentile"]) == gap.mahalanobis.percentile[0]
    assert {path.name for path in folder.glob("*.png")} == {"width.png", "calibration-width.png", "distance.png"}
    printed = capsys.readouterr().out
    assert "11 (1 without)" in printed
    assert BEST_CONSTANT in printed


@pytest.mark.slow
def test_images_unlike_the_simulations_are_noticed(run: Run, labelled: Path) -> None:
    for path in labelled.glob("*.fits"):
        image = fits.getdata(path)
        fits.writeto(
            path, np.roll(image, 5, axis=0)[::-1] + 0.3 * np.indices(image.shape)[0].astype("f4"), overwrite=True
        )
    gap = Transfer(data=data_of(labelled), **SMALL)([run]).gaps["blobs"]
    assert gap.auc.value > 0.95
    assert gap.p == pytest.approx(0.001)


def relabel(images: Path, **columns: str) -> None:
    """Write a table with the same labels for all images."""
    names = sorted(path.stem for path in images.glob("*.fits"))
    lines = [",".join(["name", *columns]), *(",".join([name, *columns.values()]) for name in names)]
    (images / "labels.csv").write_text("\n".join(lines) + "\n")


@pytest.mark.slow
@pytest.mark.filterwarnings("error", "ignore::DeprecationWarning")
def test_labels_without_values(
    run: Run, images: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    data = f'fits-folder:{images}?columns={{width="width_arcsec", x="x_arcsec"}}'
    command = ["transfer", str(run.path), "--lenses", "60", "--test-lenses", "50", "--data", data]
    relabel(images, width_arcsec="nan", x_arcsec="nan")
    assert lenskit(command) == 2
    assert "width, x: known for none of the 12 images of" in capfd.readouterr().err
    assert not (run.path / "evaluations").exists()
    # One label has no value, and the other is constant.
    relabel(images, width_arcsec="1.5", x_arcsec="nan")
    assert lenskit(command) == 0
    said = caplog.text
    assert "1 of 2 labels are known for none of the 12 images, and left out: x" in said
    assert "width is 1.5 for all 12 images with a known value: it has no R2 and no rank correlation" in said
    found = json.loads((run.path / "evaluations/transfer/results.json").read_text())["parameters"]
    assert list(found) == ["width"]
    score = found["width"]["blobs"]["score"]
    assert score["note"] == "all labels are 1.5: no R2 and no rank correlation"
    with (run.path / "evaluations/transfer/table.csv").open() as file:
        predicted = [float(row["width_predicted"]) for row in csv.DictReader(file) if row["encoder"] == "blobs"]
    assert score["mae"]["value"] == pytest.approx(np.abs(np.array(predicted) - 1.5).mean())


def test_bad_input(run: Run, images: Path, capfd: pytest.CaptureFixture[str]) -> None:
    # The labels have no unit, but the simulator's parameter has one.
    assert lenskit(["transfer", str(run.path), "--data", str(images)]) == 2
    assert "width has no unit in" in capfd.readouterr().err
    assert lenskit(["transfer", str(run.path), "--data", str(images), "--labels", "height"]) == 2
    assert "has no label height: it has width" in capfd.readouterr().err
    assert not (run.path / "evaluations").exists()


@pytest.mark.slow
def test_slacs(real_data: Path) -> None:
    """A run on SLACS writes all files, and the score of the best constant is right."""
    command = ["train", "--recipe", "quickstart", "--lenses", "32", "--epochs", "1", "--batch-size", "16"]
    small = ["--set", "method.projection_dim=32", "--set", "method.hidden_dim=32", "--set", "input.size=32",
             "--set", "monitor.probe_every=0"]  # fmt: skip
    assert lenskit([*command, *small, "--out", "small"]) == 0
    data = str(real_data / "slacs")
    assert lenskit(["transfer", "small", "--data", data, "--lenses", "60", "--test-lenses", "50"]) == 0
    folder = Path("small/evaluations/transfer")
    found = json.loads((folder / "results.json").read_text())["parameters"]["theta_E"]
    assert found["small"]["score"]["n"] == 20
    # The mean absolute error of the best constant on these 20 lenses.
    assert found[BEST_CONSTANT]["score"]["mae"]["value"] == pytest.approx(0.158, abs=5e-4)
    with (folder / "table.csv").open() as file:
        assert next(csv.DictReader(file))["name"] == "J0008-0004"
    for name in ("theta_E", "calibration-theta_E", "distance"):
        assert (folder / f"{name}.png").read_bytes().startswith(b"\x89PNG")
