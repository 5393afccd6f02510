"""The average of weights: its recursion, its use as encoder, and resumption."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor

from lenskit.checksums import seal_archive
from lenskit.encoder_card import read_card
from lenskit.run import Run
from lenskit.training.resume import resume
from lenskit.training.runner import Job, train


class Following(pl.Callback):
    """Callback that records the method's state after each batch."""

    def __init__(self) -> None:
        self.states: list[dict[str, Tensor]] = []

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        self.states.append({name: value.clone() for name, value in pl_module.state_dict().items()})


def recursion(states: list[dict[str, Tensor]], decay: float) -> dict[str, Tensor]:
    """Compute a <- decay a + (1 - decay) w from the weights after the first batch.

    Counts are copied.
    """
    found = {name: value.double() for name, value in states[0].items()}
    for state in states[1:]:
        found = {name: decay * value + (1 - decay) * state[name].double() for name, value in found.items()}
    return {name: value if states[-1][name].is_floating_point() else states[-1][name] for name, value in found.items()}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("method", "pairs"),
    [
        ({"name": "restless"}, "lens-fixed"),
        ({"name": "linear"}, "single"),
        ({"name": "simsiam", "projection_dim": 32, "hidden_dim": 32}, "lens-fixed"),
    ],
    ids=str,
)
def test_encoder_and_method_are_the_average(method: dict[str, Any], pairs: str, toys, tmp_path: Path) -> None:
    """Batch norm statistics are averaged too."""
    config = toys(train={"ema": 0.9}, method=method, pairs={"name": pairs})
    seen = Following()
    run = Job(config).fit(Run.create(tmp_path / "run", config), None, False, [seen])
    expected, saved = recursion(seen.states, 0.9), run.method().state_dict()
    assert saved.keys() == expected.keys()
    for name, value in saved.items():
        torch.testing.assert_close(value.double(), expected[name].double(), rtol=1e-5, atol=1e-6)
    assert any(name.endswith("num_batches_tracked") for name in saved)
    assert read_card(run.path / "encoder")["ema"] == 0.9
    for name, value in run.encoder().backbone.state_dict().items():
        assert torch.equal(value, saved[f"backbone.{name}"])
    # the trained weights are not the average
    last = torch.load(run.checkpoint, weights_only=True)["state_dict"]
    for name, value in seen.states[-1].items():
        assert torch.equal(last[name], value)
    assert not all(torch.equal(last[name], value) for name, value in saved.items())


@pytest.mark.slow
def test_scores_and_reconstructions_are_the_averages(toys, tmp_path: Path) -> None:
    config = toys(train={"ema": 0.9}, method={"name": "linear"}, pairs={"name": "single"})
    seen = Following()
    run = Job(config).fit(Run.create(tmp_path / "run", config), None, False, [seen])
    images = torch.rand(4, *run.encoder().image_shape)
    weights = recursion(seen.states, 0.9)
    flat = run.encoder().prepare(images).flatten(1).double()
    code = flat @ weights["inwards.weight"].T + weights["inwards.bias"]
    made = code @ weights["outwards.weight"].T + weights["outwards.bias"]
    torch.testing.assert_close(
        torch.from_numpy(run.reconstruct(images)[0]).flatten(1).double(), made, rtol=1e-4, atol=1e-4
    )
    score = (made - flat).square().mean(1)
    torch.testing.assert_close(torch.from_numpy(run.score(images)[0]), score, rtol=1e-4, atol=1e-5)


def test_a_run_without_an_average_says_nothing_of_one(toys, tmp_path: Path) -> None:
    run = train(toys(train={"epochs": 1}), tmp_path / "run", progress=False)
    assert "ema" not in read_card(run.path / "encoder")


@pytest.mark.slow
@pytest.mark.parametrize("stop", [0, 10])
def test_the_average_goes_on_after_a_resume(stop: int, toys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = toys(train={"ema": 0.9})
    whole = train(config, tmp_path / "whole", progress=False)
    monkeypatch.setenv("TOYS_SIGNAL", f"SIGINT:{stop}")
    run = train(config, tmp_path / "run", progress=False)
    monkeypatch.delenv("TOYS_SIGNAL")
    assert not run.finished
    kept = torch.load(run.checkpoint, weights_only=True)["callbacks"]["Averaging"]
    assert kept["updates"] == stop + 1  # the batch in which the signal arrives is finished
    assert resume(run.path, progress=False).finished
    for name, value in whole.encoder().state_dict().items():
        assert torch.equal(run.encoder().state_dict()[name], value), name
    for name, value in whole.method().state_dict().items():
        assert torch.equal(run.method().state_dict()[name], value), name


@pytest.mark.slow
def test_a_checkpoint_with_the_average_of_a_backbone_only(
    toys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Checkpoints of older versions: the method has the weights of the last batch.

    The average of the rest begins when the run resumes.
    """
    config = toys(train={"ema": 0.9})
    monkeypatch.setenv("TOYS_SIGNAL", "SIGINT:5")
    run = train(config, tmp_path / "run", progress=False)
    monkeypatch.delenv("TOYS_SIGNAL")
    checkpoint = torch.load(run.checkpoint, weights_only=True)
    assert not run.finished
    del checkpoint["callbacks"]["Averaging"]["rest"]
    buffer = io.BytesIO()
    torch.save(checkpoint, buffer)
    run.checkpoint.write_bytes(seal_archive(buffer))
    for name, value in run.method().state_dict().items():
        assert torch.equal(value, checkpoint["state_dict"][name])
    assert resume(run.path, progress=False).finished
    saved, last = run.method().state_dict(), torch.load(run.checkpoint, weights_only=True)["state_dict"]
    assert {name for name in last if not torch.equal(last[name], saved[name])} >= {"backbone.body.0.weight"}
    assert any(not name.startswith("backbone.") and not torch.equal(last[name], saved[name]) for name in last)
