"""Features of images, to a file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from lenskit.cli.main import run as lenskit
from lenskit.errors import UsageError
from lenskit.plugin import Run, open_dataset
from lenskit_evaluation.embed import Embed


def test_embeds_stored_images(run: Run, images: Path, tmp_path: Path) -> None:
    assert lenskit(["embed", str(run.path), "--data", str(images), "-o", str(tmp_path / "f.npz")]) == 0
    with np.load(tmp_path / "f.npz") as found:
        assert found["names"].tolist() == [f"blob{number:02}" for number in range(12)]
        assert set(found) == {"features", "names", "width"}
        expected = run.encoder()(open_dataset(str(images), size=16).read(range(12))[0][:, 0])
        np.testing.assert_allclose(found["features"], expected.detach(), rtol=1e-5, atol=1e-6)


def test_embeds_simulated_lenses_that_training_did_not_see(run: Run) -> None:
    found = Embed(lenses=20)([run])[run.name]
    assert found.features[run.name].shape == (20, 16)
    simulator = run.simulator()
    seen = simulator.scene(0, "train", torch.arange(20))["width"]
    assert not np.isin(found.parameters["width"], seen.double().numpy()).any()
    assert (run.path / "evaluations" / "embed" / "features.npz").is_file()


def test_one_output_for_two_runs_is_refused(run: Run) -> None:
    with pytest.raises(UsageError, match="names one file, but 2 runs"):
        Embed(output="f.npz")([run, run])


def test_changes_priors(run: Run) -> None:
    found = Embed(lenses=20, set=["width=uniform(5, 6)"])([run])[run.name]
    assert found.parameters["width"].min() >= 5
    with pytest.raises(UsageError, match="--set takes OPTION=VALUE"):
        Embed(set=["width"])([run])
    with pytest.raises(UsageError, match="no option 'widht': did you mean width"):
        Embed(set=["widht=3"])([run])
