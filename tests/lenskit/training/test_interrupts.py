"""A signal to one of several processes stops all after the same batch.

The resumed run equals an undisturbed run.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from lenskit.config import Config
from lenskit.run import Run
from lenskit.training.interrupts import SIGNALS
from lenskit.training.runner import train

Together = Callable[..., list[list[int]]]

EXACT = {
    "train": {"precision": "64-true"},
    "method": {"name": "restless", "noise": 0.0, "spread": 0.0},
    "backbone": {"name": "tiny", "dropout": 0.0, "norm": False},
}
"""Options without batch norm, dropout and noise, which differ between processes."""


def checkpoint(path: Path) -> dict[str, Any]:
    return torch.load(path / "checkpoints" / "last.ckpt", weights_only=True)


def write(config: Config, path: Path) -> str:
    path.write_text(config.to_toml())
    return str(path)


class Cluster:
    """Commands that each run in several processes, with their exit statuses."""

    def __init__(self, together: Together, folder: Path) -> None:
        self.together, self.folder, self.groups = together, folder, list[dict[str, Any]]()

    def add(self, processes: int, *arguments: object, by: str = "torchrun", **signals: str) -> None:
        """Add a command; `_1="SIGINT:5"` sends SIGINT to the second process in batch 5."""
        self.groups.append({
            "by": by if processes > 1 else "", "processes": processes, "log": str(self.folder / f"{len(self.groups)}"),
            "tasks": [["train", *map(str, arguments)]], "signals": {name[1:]: what for name, what in signals.items()},
        })  # fmt: skip

    def run(self) -> list[list[int]]:
        return self.together(*self.groups)

    def said(self, group: int, rank: int) -> str:
        return (self.folder / f"{group}.{rank}").read_text()


@pytest.mark.slow
def test_stopped_and_resumed_by_two_and_one_and_two(together: Together, toys, tmp_path: Path) -> None:
    whole = train(toys(**EXACT), tmp_path / "whole", progress=False)
    file, out = write(toys(**EXACT), tmp_path / "exact.toml"), tmp_path / "run"
    cluster = Cluster(together, tmp_path)
    stops = [
        (2, {"_1": "SIGINT:5"}, "torchrun", [130, 0]),
        (1, {"_0": "SIGTERM:12"}, "", [143]),
        (2, {"_0": "SIGTERM:14", "_1": "SIGTERM:14"}, "slurm", [143, 0]),
        (2, {"_1": "SIGUSR1:17"}, "slurm", [138, 0]),
        (2, {}, "torchrun", [0, 0]),
    ]
    for number, (processes, signals, by, _) in enumerate(stops):
        start = ("--resume", out) if number else ("--config", file, "--out", out)
        cluster.add(processes, *start, by=by, **signals)
    assert cluster.run() == [statuses for *_, statuses in stops], [p.read_text() for p in tmp_path.glob("?.?")]
    # All stop at the end of the batch in which the signal arrived. Only the first logs how to resume.
    for number, done in enumerate((6, 13, 15, 18)):
        assert cluster.said(number, 0).count(f"stopped after {done} of 24 batches; resume with: lenskit train") == 1
        assert cluster.said(number, 0).count("stopping at the end of this batch") == (number in (1, 2))
    for number in (0, 2, 3, 4):
        assert cluster.said(number, 1) == ""
    assert Run(out).finished
    for name, value in checkpoint(whole.path)["state_dict"].items():
        torch.testing.assert_close(checkpoint(out)["state_dict"][name], value, rtol=1e-9, atol=1e-11)


@pytest.mark.slow
def test_one_process_that_is_killed_ends_the_others_and_the_run_goes_on(
    together: Together, toys, tmp_path: Path
) -> None:
    """Equal in every bit, with batch norm, dropout and noise of each process."""
    file, cluster = write(toys(), tmp_path / "toys.toml"), Cluster(together, tmp_path)
    cluster.add(2, "--config", file, "--out", tmp_path / "whole")
    cluster.add(2, "--config", file, "--out", tmp_path / "run", _1="SIGKILL:13")
    cluster.add(2, "--resume", tmp_path / "run")
    assert cluster.run() == [[0, 0], [1, -signal.SIGKILL], [0, 0]], cluster.said(1, 0)
    whole, run = checkpoint(tmp_path / "whole"), checkpoint(tmp_path / "run")
    for name, value in whole["state_dict"].items():
        assert torch.equal(run["state_dict"][name], value), name
    last = cluster.said(1, 0).splitlines()[-1]
    assert last.startswith("lenskit: another process of this run has ended; see its error message (")
    assert "Traceback" not in cluster.said(1, 0)
    # Only the first warns about batch norm.
    assert cluster.said(0, 0).count("1 batch norms are synchronised on GPUs only: on CPUs, each of 2 processes") == 1
    assert cluster.said(0, 1) == ""


@pytest.mark.slow
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGUSR1"])
def test_a_signal_stops_after_its_batch_and_handlers_are_given_back(
    name: str, toys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = [signal.getsignal(number) for number in SIGNALS]
    monkeypatch.setenv("TOYS_SIGNAL", f"{name}:4")
    run = train(toys(), tmp_path / "run", progress=False)
    assert run.stopped_by == getattr(signal, name)
    assert checkpoint(run.path)["lenskit"]["batches"] == 5
    assert [signal.getsignal(number) for number in SIGNALS] == before


@pytest.mark.slow
def test_a_cluster_says_twice_that_it_ends(toys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SLURM signals the step and srun; only a second Ctrl-C stops at once."""
    monkeypatch.setenv("TOYS_SIGNAL", "SIGUSR1+SIGTERM+SIGTERM+SIGINT:4")
    run = train(toys(), tmp_path / "run", progress=False)
    assert checkpoint(run.path)["lenskit"]["batches"] == 5
    monkeypatch.setenv("TOYS_SIGNAL", "SIGINT+SIGTERM+SIGINT:4")
    with pytest.raises(KeyboardInterrupt):
        train(toys(), tmp_path / "other", progress=False)
    assert os.listdir(tmp_path / "other" / "checkpoints") == ["last.ckpt"]  # of batch 3
