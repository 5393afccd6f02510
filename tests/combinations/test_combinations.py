"""Small part of `make combinations`: one training step for every two choices."""

from __future__ import annotations

import importlib.util
import itertools
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch

from lenskit.config import Config
from lenskit.options import options_of
from lenskit.registry import registry
from lenskit.training.runner import Job

pytestmark = pytest.mark.usefixtures("one_thread")

HERE = Path(__file__).resolve().parent

_spec = importlib.util.spec_from_file_location("combinations_run", HERE / "run.py")
assert _spec is not None
assert _spec.loader is not None
run = importlib.util.module_from_spec(_spec)
sys.modules[_spec.name] = run  # dataclasses look up their module here
_spec.loader.exec_module(run)

SMALL = {"_dim": 32, "_depth": 1, "queue": 8, "slices": 32}
"""Small values of options, by the end of the option's name."""

ALL = list(run.combinations(backbones=("timm:test_resnet", "timm:test_vit", "timm:test_convnext")))
SENSIBLE = [combination for combination in ALL if not run.refusals(combination)]
# One refused combination for each reason and method.
REFUSED = {(run.refusals(c)[0], c.method): c for c in ALL if len(run.refusals(c)) == 1}


def job_of(layer: dict[str, dict[str, Any]], **simulator: Any) -> Job:
    """Build a run with a few lenses and small heads."""
    method = layer["method"]["name"]
    names = [option.name for option in options_of(registry().find("method", method).load())]
    small = {name: size for name in names for end, size in SMALL.items() if name.endswith(end)}
    train = {"lenses": 4, "epochs": 1, "batch_size": 2, "accelerator": "cpu"}
    return Job(Config.resolve(layer, {"train": train, "method": small, "simulator": simulator}))


def step(layer: dict[str, dict[str, Any]]) -> None:
    """Take a training step on small images, and embed images of the simulated size."""
    # 40 pixels are not a multiple of 16, and enough for a ConvNeXt.
    job = job_of(layer, **({} if layer["simulator"]["name"] == "euclid-challenge" else {"pixels": 40}))
    if job.method.automatic_optimization:  # manual optimisation needs a Trainer
        loss = job.method.step(job.training_set.by_index(range(2)))["loss"]
        loss.backward()
        assert loss.isfinite()
    assert job.encoder.embed(torch.randn(2, *job.encoder.fixed_shape)).shape == (2, job.encoder.features)


@pytest.mark.slow
@pytest.mark.parametrize("combination", run.covering(SENSIBLE), ids=lambda c: "-".join(asdict(c).values()))
def test_every_two_choices_train(combination: Any) -> None:
    assert run.outcome(combination, step) == {"status": run.TRAINED, "said": ""}


@pytest.mark.parametrize("combination", REFUSED.values(), ids=lambda c: "-".join(asdict(c).values()))
def test_what_makes_no_sense_is_refused_in_one_line(combination: Any) -> None:
    outcome = run.outcome(combination, step)
    assert outcome["status"] == run.REFUSED, outcome
    assert "use " in outcome["said"]


@pytest.mark.slow
@pytest.mark.parametrize("method", run.METHODS)
def test_a_method_is_built_by_its_name_alone(method: str) -> None:
    job = job_of({"method": {"name": method}})
    assert job.training_set.pairs.views == job.method.views


def test_the_covering_set_has_every_two_choices_that_make_sense() -> None:
    def two(combinations: Any) -> set[Any]:
        return {pair for c in combinations for pair in itertools.combinations(asdict(c).items(), 2)}

    chosen = run.covering(SENSIBLE)
    assert two(chosen) == two(SENSIBLE)
    assert len(chosen) < len(SENSIBLE) / 3


def test_the_documentation_lists_what_makes_no_sense() -> None:
    assert run.senseless_table() in (HERE.parents[1] / "docs" / "guides" / "methods.md").read_text()
    assert {reason for reason, _ in REFUSED} == {part.says for part in run.SENSELESS}
