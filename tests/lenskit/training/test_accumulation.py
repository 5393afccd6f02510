"""Accumulation gives the weights of whole batches, which callbacks see too.

The weights are equal only for losses that do not compare the lenses of a batch.
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor

from lenskit.config import Config
from lenskit.kinds.pairs import Batch
from lenskit.run import Run
from lenskit.training.resume import resume
from lenskit.training.runner import Job, train


def each_lens_by_itself(toys, **train: Any) -> Config:
    """Return options without batch norm, dropout, noise and comparisons of lenses.

    In double precision.
    """
    return toys(
        train={"precision": "64-true"} | train,
        method={"name": "restless", "noise": 0.0, "spread": 0.0},
        backbone={"name": "tiny", "dropout": 0.0, "norm": False},
    )


def weights(run: Run) -> dict[str, Tensor]:
    return torch.load(run.checkpoint, weights_only=True)["state_dict"]


def figures(run: Run) -> list[dict[str, float]]:
    return [json.loads(line) for line in (run.path / "metrics.jsonl").read_text().splitlines()]


@pytest.fixture
def whole(toys, tmp_path: Path) -> Run:
    return train(each_lens_by_itself(toys), tmp_path / "whole", progress=False)


@pytest.mark.slow
@pytest.mark.parametrize("parts", [2, 4])
def test_parts_learn_what_the_whole_learns(parts: int, whole: Run, toys, tmp_path: Path) -> None:
    run = train(each_lens_by_itself(toys, accumulate=parts), tmp_path / "run", progress=False)
    for name, value in weights(whole).items():
        torch.testing.assert_close(weights(run)[name], value, rtol=1e-10, atol=1e-14)
    # and the metrics are those of whole batches
    for ours, theirs in zip(figures(run), figures(whole), strict=True):
        assert ours.keys() == theirs.keys()
        same = [name for name in ours if name != "rate"]
        assert [ours[name] for name in same] == pytest.approx([theirs[name] for name in same], rel=1e-6)


class Counting(pl.Callback):
    """Callback that records the batches of callbacks and the parts of the method."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.steps: list[tuple[int, int]] = []

    def on_train_start(self, trainer: pl.Trainer, pl_module: Any) -> None:
        pl_module.after_update = lambda: self.steps.append((pl_module.batches, trainer.global_step))

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        made: list[Batch] = list(batch)
        self.batches.append([len(part.index) for part in made])
        self.index = torch.cat([part.index for part in made])
        assert outputs["embedding"].shape == (8, 8)
        assert outputs["loss"].shape == ()


@pytest.mark.slow
def test_everything_else_counts_whole_batches(toys, tmp_path: Path) -> None:
    config, seen = toys(train={"accumulate": 4, "epochs": 1}), Counting()
    Job(config).fit(Run.create(tmp_path / "run", config), None, False, [seen])
    assert seen.batches == [[2, 2, 2, 2]] * 8
    assert seen.steps == [(batch, batch + 1) for batch in range(8)]
    assert seen.index.tolist() == list(range(56, 64))


class InTheMiddle(pl.Callback):
    """Callback that acts once, between the first and the second part of a batch."""

    def __init__(self, batch: int, what: Callable[[], Any]) -> None:
        self.batch, self.what, self.parts = batch, what, 0

    def on_before_zero_grad(self, trainer: pl.Trainer, pl_module: Any, optimizer: Any) -> None:
        if pl_module.batches == self.batch:
            self.parts += 1
            if self.parts == 1:
                self.what()


def crash() -> None:
    raise ZeroDivisionError


@pytest.mark.slow
@pytest.mark.parametrize("what", [crash, lambda: os.kill(os.getpid(), signal.SIGINT)], ids=["crash", "interrupt"])
def test_a_run_that_ends_between_parts_goes_on_exactly(what: Callable[[], Any], toys, tmp_path: Path) -> None:
    """A resumed run equals an undisturbed run, with batch norm, dropout and noise.

    It resumes from the previous checkpoint, or after the end of the batch that was interrupted.
    """
    config = toys(train={"accumulate": 4}, optimizer={"name": "adamw", "clip": 0.05})
    whole = train(config, tmp_path / "whole", progress=False)
    run = Run.create(tmp_path / "run", config)
    try:
        Job(config).fit(run, None, False, [InTheMiddle(10, what)])
    except ZeroDivisionError:
        saved = 9
    else:
        saved = 11
    assert torch.load(run.checkpoint, weights_only=True)["lenskit"]["batches"] == saved
    assert resume(run.path, progress=False).finished
    for name, value in weights(whole).items():
        assert torch.equal(weights(run)[name], value), name


@pytest.mark.slow
def test_two_processes_share_each_part(together, whole: Run, toys, tmp_path: Path) -> None:
    Path("run.toml").write_text(each_lens_by_itself(toys, accumulate=2).to_toml())
    task = ["train", "--config", "run.toml", "--out", "two"]
    group = {"by": "torchrun", "processes": 2, "tasks": [task], "log": str(tmp_path / "log")}
    assert together(group) == [[0, 0]], (tmp_path / "log.0").read_text()
    for name, value in weights(whole).items():
        torch.testing.assert_close(weights(Run("two"))[name], value, rtol=1e-10, atol=1e-14)
