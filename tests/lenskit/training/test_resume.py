"""A run that was killed or stopped, and resumed, is the run that was not."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor

from lenskit.config import Config
from lenskit.errors import LenskitError, UsageError
from lenskit.run import Run
from lenskit.training.runner import resume, train

BATCHES_PER_EPOCH, EPOCHS = 8, 3


def config(method: str, **train_options: object) -> Config:
    return Config.resolve(
        {
            "train": {"lenses": 8 * BATCHES_PER_EPOCH, "epochs": EPOCHS, "batch_size": 8, "checkpoint_every": 3}
            | train_options,
            "simulator": {"name": "blobs"},
            "pairs": {"name": "default"},
            "method": {"name": method},
            "backbone": {"name": "tiny"},
        }
    )


def state(run: Run) -> dict[str, Tensor]:
    return torch.load(run.checkpoint, weights_only=True)["state_dict"]


def train_elsewhere(run_config: Config, out: Path, die: str) -> int:
    """Trains in a process that gets a signal in a batch; returns how it ended."""
    out.parent.mkdir(parents=True, exist_ok=True)
    file = out.with_suffix(".toml")
    file.write_text(run_config.to_toml())
    command = [sys.executable, "-m", "lenskit.cli", "train", "--config", str(file), "--out", str(out)]
    environment = os.environ | {"TOYS_SIGNAL": die, "OMP_NUM_THREADS": str(torch.get_num_threads())}
    return subprocess.run(command, env=environment, capture_output=True, timeout=300).returncode


@pytest.mark.slow
@pytest.mark.parametrize(
    ("method", "die", "status"),
    [
        ("restless", "SIGKILL:13", -signal.SIGKILL),  # mid-epoch, one batch after a checkpoint
        ("restless", "SIGKILL:15", -signal.SIGKILL),  # in the last batch of an epoch
        ("restless", "SIGKILL:16", -signal.SIGKILL),  # in the first of the next
        ("restless", "SIGINT:10", 130),
        ("two-optimizers", "SIGKILL:13", -signal.SIGKILL),
    ],
)
def test_ends_with_the_same_weights(method: str, die: str, status: int, tmp_path: Path) -> None:
    whole = train(config(method), tmp_path / "whole", progress=False)
    assert train_elsewhere(config(method), tmp_path / "cut", die) == status
    cut = Run(tmp_path / "cut")
    assert not cut.finished
    resumed = resume(cut.path, progress=False)
    assert resumed.finished
    for name, value in state(whole).items():
        assert torch.equal(value, state(resumed)[name]), name
    lines = (whole.path / "metrics.jsonl").read_text().count("\n")
    assert (resumed.path / "metrics.jsonl").read_text().count("\n") == lines


def test_a_finished_run_is_left_as_it_is(tmp_path: Path) -> None:
    run = train(config("restless", epochs=1), tmp_path / "run", progress=False)
    before = run.checkpoint.stat().st_mtime_ns
    assert resume(run.path, progress=False).finished
    assert run.checkpoint.stat().st_mtime_ns == before


def test_refuses_a_pickle_that_runs_code(tmp_path: Path) -> None:
    run = train(config("restless", epochs=1), tmp_path / "run", progress=False)

    class Evil:
        def __reduce__(self) -> tuple:
            return os.mkdir, (str(tmp_path / "harm"),)

    torch.save({"lenskit": Evil()}, run.checkpoint)
    with pytest.raises(LenskitError, match="no checkpoint of lenskit, or is damaged"):
        resume(run.path)
    assert not (tmp_path / "harm").exists()


def test_refuses_a_checkpoint_of_another_method(tmp_path: Path) -> None:
    run = train(config("restless", epochs=1), tmp_path / "run", progress=False)
    other = train(config("two-optimizers", epochs=1), tmp_path / "other", progress=False)
    other.checkpoint.replace(run.checkpoint)
    with pytest.raises(LenskitError, match="is of the method 'two-optimizers', but .* says 'restless'"):
        resume(run.path)


def test_refuses_what_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is no run directory: it has no run.toml"):
        resume(tmp_path)
    with pytest.raises(UsageError, match="there is no run directory"):
        resume(tmp_path / "nowhere")
