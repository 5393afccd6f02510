"""The bundled encoder measures Einstein radii of simulated and real lenses."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

import lenskit
from lenskit.evaluation import EncoderRun, open_run
from lenskit_evaluation.head import Head

torch.set_num_threads(1)

LARGEST = 25e6
"""Bytes of the folder."""


@pytest.fixture(scope="module")
def shipped() -> EncoderRun:
    run = open_run("hst-lens")
    assert isinstance(run, EncoderRun)
    return run


def test_it_is_small_and_says_what_it_is(shipped: EncoderRun) -> None:
    card = shipped.encoder().card
    assert sum(path.stat().st_size for path in shipped.path.iterdir()) < LARGEST
    assert {"summary", "trained_on", "licence", "results", "simulator"} <= set(card)
    assert card["input"]["stretch"] == "unsharp+multipole"


@pytest.mark.slow
def test_intervals_hold_on_the_lenses_that_it_was_calibrated_for(shipped: EncoderRun) -> None:
    """68 % of 48 lenses of the encoder's simulator are within the 68 % interval.

    The tolerance is three standard deviations of a binomial distribution.
    """
    simulator, encoder = shipped.simulator(), shipped.encoder()
    assert shipped.head is not None
    head = Head.load(shipped.head)
    scene = simulator.scene(99, "test", torch.arange(48))
    images = simulator.render(scene)
    found = head.predict(lambda part: encoder.embed(part).astype(np.float64), [images])
    error = np.abs(found.values["theta_E"] - scene["theta_E"].numpy())
    assert np.mean(error <= head.half_width(0.68)["theta_E"]) == pytest.approx(0.68, abs=0.2)
    assert np.median(error) < 0.1
    assert np.mean(head.outliers.distance(found.features) / head.outliers.threshold <= 1) > 0.85


@pytest.mark.slow
def test_real_lenses_that_it_has_never_seen(real_data: Path, tmp_path: Path) -> None:
    """Predict the Einstein radii of 20 lenses of the SLACS survey.

    No label was used to train, fit or calibrate. The best constant has a mean absolute error of 0.158 arcsec.
    """
    table = tmp_path / "radii.csv"
    data = f"fits-folder:{real_data / 'slacs'}?pixel_scale=0.05"
    lenskit.evaluate("predict", "hst-lens", [data], output=str(table))
    with table.open() as file:
        predicted = {row["name"]: float(row["theta_E"]) for row in csv.DictReader(file)}
    with (real_data / "slacs" / "labels.csv").open() as file:
        truth = {row["name"]: float(row["theta_E_sie_arcsec"]) for row in csv.DictReader(file)}
    expected = np.array([truth[name] for name in predicted])
    found = np.array(list(predicted.values()))
    assert spearmanr(found, expected)[0] > 0.8
    assert np.abs(found - expected).mean() < 0.11
    assert np.median(np.abs(found - expected) / expected) < 0.08
