"""A run that was killed or stopped, and resumed, equals an undisturbed run."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from lenskit.checkpoint import read_checkpoint
from lenskit.config import Config
from lenskit.errors import LenskitError, UsageError
from lenskit.run import Run
from lenskit.training.resume import resume
from lenskit.training.runner import train

CUTS = [
    ("restless", "SIGKILL:1", -signal.SIGKILL),  # before the first checkpoint
    ("restless", "SIGKILL:13", -signal.SIGKILL),  # mid-epoch, one batch after a checkpoint
    ("restless", "SIGKILL:15", -signal.SIGKILL),  # in the last batch of an epoch
    ("restless", "SIGKILL:16", -signal.SIGKILL),  # in the first of the next
    ("restless", "SIGKILL:23", -signal.SIGKILL),  # in the last of all
    ("restless", "SIGINT:10", 130),
    ("restless", "SIGINT+SIGINT:10", 130),  # the second one stops it within the batch
    ("two-optimizers", "SIGKILL:13", -signal.SIGKILL),
]
"""Method, signal and its batch, and exit status."""

CUT_SHORT = """
import json, os, sys
import lenskit.training.runner  # the slowest import, made once for all tests
from lenskit.cli.main import run

children = []
for cut, arguments in json.load(sys.stdin):
    children.append(os.fork())
    if not children[-1]:
        os.environ["TOYS_SIGNAL"] = cut
        os._exit(run(arguments))
print(json.dumps([os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]))
"""


def config(toys, method: str) -> Config:
    return toys(method={"name": method}, pairs={"name": "default"})


def state(run: Run) -> dict[str, Tensor]:
    return torch.load(run.checkpoint, weights_only=True)["state_dict"]


def lines(run: Run) -> list[int]:
    return [json.loads(line)["batches"] for line in (run.path / "metrics.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def whole(toys, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Run]:
    """Train an undisturbed run of a method."""
    folder = tmp_path_factory.mktemp("whole")
    return cache(lambda method: train(config(toys, method), folder / method, progress=False))


@pytest.fixture(scope="module")
def cut_short(toys, tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], tuple[Path, int]]:
    """Train each of `CUTS` in its own process.

    Return the run directory and the exit status of each.
    """
    folder = tmp_path_factory.mktemp("cut")
    outs = [folder / f"{method}-{cut.replace(':', '-')}" for method, cut, _ in CUTS]
    tasks = []
    for (method, cut, _), out in zip(CUTS, outs, strict=True):
        file = out.with_suffix(".toml")
        file.write_text(config(toys, method).to_toml())
        tasks.append((cut, ["train", "--config", str(file), "--out", str(out)]))
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", CUT_SHORT]
    answer = subprocess.run(command, env=environment, input=json.dumps(tasks), capture_output=True, text=True)
    assert answer.returncode == 0, answer.stderr
    ends = json.loads(answer.stdout.splitlines()[-1])
    return {cut[:2]: end for cut, end in zip(CUTS, zip(outs, ends, strict=True), strict=True)}


@pytest.mark.slow
@pytest.mark.parametrize(("method", "cut", "status"), CUTS)
def test_ends_with_the_same_weights(
    method: str, cut: str, status: int, whole: Callable[[str], Run], cut_short: dict[tuple[str, str], tuple[Path, int]]
) -> None:
    path, ended = cut_short[method, cut]
    assert ended == status
    assert not Run(path).finished
    resumed = resume(path, progress=False)
    assert resumed.finished
    for name, value in state(whole(method)).items():
        assert torch.equal(value, state(resumed)[name]), name
    for name, value in whole(method).encoder().state_dict().items():
        assert torch.equal(value, resumed.encoder().state_dict()[name]), name
    assert lines(resumed) == lines(whole(method)) == [10, 20, 24]


@pytest.mark.slow
def test_double_precision_is_kept(toys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = toys(train={"precision": "64-true"})
    whole = train(config, tmp_path / "whole", progress=False)
    monkeypatch.setenv("TOYS_SIGNAL", "SIGINT:10")
    run = train(config, tmp_path / "run", progress=False)
    monkeypatch.delenv("TOYS_SIGNAL")
    resumed = resume(run.path, progress=False)
    for name, value in state(whole).items():
        assert torch.equal(value, state(resumed)[name]), name


@pytest.mark.slow
def test_the_weights_that_a_run_started_from_may_be_gone(toys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = train(toys(backbone={"name": "timm:test_vit"}), tmp_path / "first", progress=False)
    config = toys(backbone={"name": "timm:test_vit", "weights": str(first.path)})
    whole = train(config, tmp_path / "whole", progress=False)
    monkeypatch.setenv("TOYS_SIGNAL", "SIGINT:10")
    train(config, tmp_path / "run", progress=False)
    monkeypatch.delenv("TOYS_SIGNAL")
    shutil.rmtree(first.path)
    again = resume(tmp_path / "run", progress=False)
    expected = whole.encoder().state_dict()
    assert all(torch.equal(value, expected[name]) for name, value in again.encoder().state_dict().items())
    assert again.config == whole.config


@pytest.mark.slow
def test_a_finished_run_is_left_as_it_is(toys, tmp_path: Path) -> None:
    run = train(toys(method={"name": "restless"}, train={"epochs": 1}), tmp_path / "run", progress=False)
    before = run.checkpoint.stat().st_mtime_ns
    assert resume(run.path, progress=False).finished
    assert run.checkpoint.stat().st_mtime_ns == before


@pytest.mark.slow
def test_a_card_with_a_wrong_checksum_is_written_again(toys, tmp_path: Path) -> None:
    run = train(toys(method={"name": "restless"}, train={"epochs": 1}), tmp_path / "run", progress=False)
    file = run.path / "encoder" / "encoder.json"
    whole = file.read_bytes()
    card = json.loads(whole)
    file.write_text(json.dumps(card | {"method": "simclr"}))
    assert resume(run.path, progress=False).finished
    assert file.read_bytes() == whole
    del card["checksum"]
    file.write_text(json.dumps(card))  # a user declares the file correct
    assert resume(run.path, progress=False).finished
    assert json.loads(file.read_text()) == card


def test_refuses_a_pickle_that_runs_code(toys, tmp_path: Path) -> None:
    run = train(toys(method={"name": "restless"}, train={"epochs": 1}), tmp_path / "run", progress=False)

    class Evil:
        def __reduce__(self) -> tuple:
            return os.mkdir, (str(tmp_path / "harm"),)

    torch.save({"lenskit": Evil()}, run.checkpoint)
    with pytest.raises(LenskitError, match="no checkpoint of lenskit, or is damaged"):
        resume(run.path)
    assert not (tmp_path / "harm").exists()


def test_refuses_what_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"is no run directory: it has no run\.toml"):
        resume(tmp_path)
    with pytest.raises(UsageError, match="there is no run directory"):
        resume(tmp_path / "nowhere")


# --- A configuration that was changed ---


CHANGES = {
    "train.epochs": ({"train": {"epochs": 5}}, "train.epochs (was 3, is 5)"),
    "a new option": ({"train": {"lenses": 32}}, "train.lenses (was 64, is 32)"),
    "several": (
        {"optimizer": {"lr": 0.1}, "train": {"seed": 1}, "simulator": {"pixels": 20}},
        "train.seed (was 0, is 1), simulator.pixels (was 16, is 20), optimizer.lr (was 0.05, is 0.1)",
    ),
    "a component": ({"pairs": {"name": "default", "blur": 0.0}}, "pairs.name (was 'lens-fixed', is 'default')"),
    "what is put together": (
        {"pairs": {"name": "lens-fixed+noise", "noise": {}}},
        "pairs.name (was 'lens-fixed', is 'lens-fixed+noise')",
    ),
    "stored lenses": (
        {"data": {"name": "zarr", "path": "store.zarr"}},
        "simulator.name (was 'blobs@lenskit-ssl-toys', is not set), data.name (was not set, is 'zarr')",
    ),
    "many": (
        {"train": {"lenses": 32, "epochs": 5, "batch_size": 4, "seed": 1, "precision": "64-true", "ema": 0.9,
                   "accumulate": 2}},
        "train.lenses (was 64, is 32), train.epochs (was 3, is 5), train.batch_size (was 8, is 4), "
        "train.seed (was 0, is 1), train.precision (was '32-true', is '64-true'), "
        "train.accumulate (was 1, is 2) and 1 more",
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def stopped(toys, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Train a run and stop it after its sixth batch."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TOYS_SIGNAL", "SIGINT:5")
        return train(toys(), tmp_path_factory.mktemp("stopped") / "run", progress=False)


@pytest.fixture
def edited(stopped: Run, tmp_path: Path) -> Callable[[dict[str, Any]], Path]:
    """Copy that run with an edited run.toml."""

    def edit(changes: dict[str, Any]) -> Path:
        path = tmp_path / "edited"
        shutil.copytree(stopped.path, path)
        (path / "run.toml").write_text(Config.resolve(stopped.config.sections, changes).to_toml())
        return path

    return edit


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_configuration_is_refused_and_named(change: str, edited: Callable[[dict[str, Any]], Path]) -> None:
    changes, named = CHANGES[change]
    path = edited(changes)
    file, before = path / "run.toml", (path / "checkpoints" / "last.ckpt").read_bytes()
    with pytest.raises(UsageError) as caught:
        resume(path, progress=False)
    assert str(caught.value) == (
        f"{file} was changed since its checkpoint was saved: {named}; restore the old values to resume, or train "
        f"again: lenskit train --config {file} --out ANOTHER"
    )
    assert (path / "checkpoints" / "last.ckpt").read_bytes() == before


@pytest.mark.slow
def test_where_and_how_it_is_watched_may_change(stopped: Run, edited: Callable[[dict[str, Any]], Path]) -> None:
    path = edited({
        "train": {"devices": 1, "strategy": "ddp", "channels_last": True, "checkpoint_every": 7},
        "input": {"workers": 1},
        "monitor": {"log_every": 3},
    })  # fmt: skip
    assert read_checkpoint(path, Config.from_toml(path / "run.toml"))["batches"] == 6
    again = resume(path, progress=False, strategy="auto")
    assert again.finished


def test_a_checkpoint_older_than_an_option_goes_on(stopped: Run, edited: Callable[[dict[str, Any]], Path]) -> None:
    path = edited({})
    checkpoint = torch.load(path / "checkpoints" / "last.ckpt", weights_only=True)
    assert checkpoint["lenskit"]["config"]["train"].pop("ema") == 0
    torch.save(checkpoint, path / "checkpoints" / "last.ckpt")
    assert read_checkpoint(path, Config.from_toml(path / "run.toml"))["batches"] == 6


def test_from_python_too_only_where_it_trains_may_change(stopped: Run) -> None:
    with pytest.raises(
        UsageError, match=r"epochs, seed cannot be changed when a run resumes: change only accelerator,"
    ):
        resume(stopped.path, progress=False, epochs=5, seed=3, devices=1)
