"""Intervals and outliers of a fitted probe."""

from __future__ import annotations

import numpy as np
import pytest

from lenskit.evaluation import Run, SimulatedLenses
from lenskit_evaluation.probe.evaluation import Probe
from lenskit_evaluation.probe.saved_probe import FittedProbe


@pytest.mark.slow
def test_intervals_hold_what_they_promise(run: Run) -> None:
    Probe(lenses=500, test_lenses=500, seeds=1, mlp=False, curves=False, controls=False)([run])
    probe = FittedProbe.load(run.folder("probe"))
    features, truth = run.embed(1000, split="another")
    error = np.abs(probe.predict(features)["width"] - truth["width"])
    inside = np.mean(error <= probe.half_width(0.68)["width"])
    # Binomial errors of 1,000 new lenses and of the 500 lenses that defined the interval: .015 and .021.
    assert inside == pytest.approx(0.68, abs=4 * np.hypot(0.015, 0.021))


@pytest.mark.slow
def test_flags_what_is_unlike_the_simulations(run: Run) -> None:
    Probe(lenses=500, test_lenses=500, seeds=1, mlp=False, curves=False, controls=False)([run])
    probe, encoder = FittedProbe.load(run.folder("probe")), run.encoder()
    images = SimulatedLenses(run.simulator(), seed=0, split="another").read(range(500)).images
    like, unlike = encoder.embed(images), encoder.embed(-images)
    assert probe.outliers.is_outlier(like).mean() < 0.04
    assert probe.outliers.is_outlier(unlike).mean() > 0.5
