"""The lenses of the probe are held out from training if there is a simulator."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from lenskit.config import Config
from lenskit.data.simulated import SimulatedLenses
from lenskit.kinds.parameter import Parameter
from lenskit.training.probe import probe
from lenskit.training.probe_lenses import COMPARED, held_out
from lenskit.training.runner import Job

WIDTH = Parameter("width", headline=True)


@pytest.mark.slow
@pytest.mark.parametrize("pairs", ["lens-fixed", "default"])
def test_lenses_are_of_a_split_of_their_own(toys, pairs: str) -> None:
    """They are the same for every seed; the views of the first lenses are compared."""
    job = Job(toys(pairs={"name": pairs}, train={"seed": 7}))
    lenses = held_out(job.training_set, 300)
    drawn = SimulatedLenses(job.config.build("simulator"), seed=0, split="probe").read(range(300))
    assert torch.allclose(lenses.images, job.training_set.preprocess(drawn.images), atol=1e-4)
    assert torch.equal(lenses.values["width"], drawn.values["width"].double())
    assert not lenses.seen
    assert [len(view) for view in lenses.views] == [COMPARED, COMPARED]
    assert torch.equal(lenses.views[0], lenses.images[:COMPARED]) == (pairs == "lens-fixed")
    trained = job.training_set.by_index(torch.arange(300)).parameters["width"]
    assert not set(lenses.values["width"].tolist()) & set(trained.double().flatten().tolist())


def test_one_view_is_compared_with_nothing(toys) -> None:
    job = Job(toys(pairs={"name": "default"}))
    job.training_set.pairs = toys(pairs={"name": "single"}).build("pairs")
    lenses = held_out(job.training_set, 64)
    assert lenses.views == ()
    assert "alignment" not in probe(job.encoder.backbone, lenses, [WIDTH])


@pytest.mark.slow
def test_stored_lenses_are_judged_on_lenses_of_the_simulator_that_made_them(toys, lenskit, tmp_path: Path) -> None:
    made = lenskit("simulate", "--simulator", "blobs", "--pairs", "lens-fixed", "--lenses", 64, "--out", "pairs.zarr")
    assert made.status == 0, made.err
    data: dict[str, Any] = {"name": "zarr", "path": str(tmp_path / "pairs.zarr")}
    plain = {key: value for key, value in toys().sections.items() if key != "simulator"}
    job = Job(Config.resolve(plain | {"data": data}))
    lenses = held_out(job.training_set, 100)
    assert not lenses.seen
    assert torch.equal(lenses.images, held_out(Job(toys()).training_set, 100).images)
    # Without the simulator there are only the stored lenses.
    job.training_set.dataset.configuration = None
    lenses = held_out(job.training_set, 100)
    assert lenses.seen
    assert len(lenses.images) == 64
    first = job.training_set.by_index(torch.arange(64))
    assert torch.equal(lenses.images, first.views[0])
    assert torch.equal(lenses.values["width"], first.parameters["width"][:, 0].double())
    job.training_set.close()
