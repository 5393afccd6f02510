"""The average of weights against its recursion, as the encoder, and after a run was resumed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor

from lenskit.encoder import read_card
from lenskit.run import Run
from lenskit.training.resume import resume
from lenskit.training.runner import Job, train


class Following(pl.Callback):
    """The backbone's state after each batch."""

    def __init__(self) -> None:
        self.states: list[dict[str, Tensor]] = []

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        self.states.append({name: value.clone() for name, value in pl_module.backbone.state_dict().items()})


def test_the_encoder_is_the_average(toys, tmp_path: Path) -> None:
    """a <- 0.9 a + 0.1 w, from the weights after the first batch; of the statistics of batch norms as well. What is
    counted is the latest."""
    config, seen = toys(train={"ema": 0.9}), Following()
    run = Job(config).fit(Run.create(tmp_path / "run", config), None, False, [seen])
    expected = {name: value.double() for name, value in seen.states[0].items()}
    for state in seen.states[1:]:
        expected = {name: 0.9 * value + 0.1 * state[name].double() for name, value in expected.items()}
    saved = run.encoder().backbone.state_dict()
    assert saved.keys() == expected.keys()
    for name, value in saved.items():
        if value.is_floating_point():
            torch.testing.assert_close(value.double(), expected[name], rtol=1e-5, atol=1e-6)
        else:
            assert torch.equal(value, seen.states[-1][name])
    assert any(name.endswith("num_batches_tracked") for name in saved)
    assert not torch.equal(saved["body.0.weight"], seen.states[-1]["body.0.weight"])
    assert read_card(run.path / "encoder")["ema"] == 0.9
    # what goes on learning is not the average
    last = torch.load(run.checkpoint, weights_only=True)["state_dict"]
    assert torch.equal(last["backbone.body.0.weight"], seen.states[-1]["body.0.weight"])


def test_a_run_without_an_average_says_nothing_of_one(toys, tmp_path: Path) -> None:
    run = train(toys(train={"epochs": 1}), tmp_path / "run", progress=False)
    assert "ema" not in read_card(run.path / "encoder")


@pytest.mark.parametrize(("method", "warned"), [("linear", True), ("restless", False)])
def test_a_method_that_scores_says_that_it_does_not_go_by_the_average(
    method: str, warned: bool, toys, tmp_path: Path
) -> None:
    pairs = {"name": "single" if warned else "lens-fixed"}
    train(toys(train={"epochs": 1, "ema": 0.9}, method={"name": method}, pairs=pairs), tmp_path / "run", progress=False)
    assert ("WARNING train.ema averages what is saved" in (tmp_path / "run" / "train.log").read_text()) == warned


@pytest.mark.parametrize("stop", [0, 10])
def test_the_average_goes_on_after_a_resume(stop: int, toys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = toys(train={"ema": 0.9})
    whole = train(config, tmp_path / "whole", progress=False)
    monkeypatch.setenv("TOYS_SIGNAL", f"SIGINT:{stop}")
    run = train(config, tmp_path / "run", progress=False)
    monkeypatch.delenv("TOYS_SIGNAL")
    assert not run.finished
    kept = torch.load(run.checkpoint, weights_only=True)["callbacks"]["Averaging"]
    assert kept["updates"] == stop + 1  # the batch in which the signal comes is finished
    assert resume(run.path, progress=False).finished
    for name, value in whole.encoder().state_dict().items():
        assert torch.equal(run.encoder().state_dict()[name], value), name
