"""The Trainer for settings and launchers, and errors if they do not fit."""

from __future__ import annotations

import logging
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from lightning_fabric.plugins.environments import LightningEnvironment, SLURMEnvironment, TorchElasticEnvironment
from pytorch_lightning.strategies import DDPStrategy, SingleDeviceStrategy

from lenskit.errors import UsageError
from lenskit.run import Run
from lenskit.settings import TrainSettings
from lenskit.training.devices import make_trainer

TORCHRUN = {"TORCHELASTIC_RUN_ID": "none", "RANK": "0", "LOCAL_RANK": "0", "MASTER_PORT": "29500"}
SLURM = {
    "SLURM_JOB_ID": "4711",
    "SLURM_PROCID": "0",
    "SLURM_LOCALID": "0",
    "SLURM_NODEID": "0",
    "SLURM_JOB_NAME": "a",
}


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Remove the environment variables of a launcher that may have started the tests."""
    for name in os.environ:
        if name.startswith(("SLURM_", "TORCHELASTIC_")) or name in ("RANK", "LOCAL_RANK", "WORLD_SIZE"):
            monkeypatch.delenv(name)
    return monkeypatch


def say(environment: pytest.MonkeyPatch, values: dict[str, object]) -> None:
    for name, value in values.items():
        environment.setenv(name, str(value))


def settings(**options: object) -> TrainSettings:
    return TrainSettings(**{"accelerator": "cpu"} | options)  # type: ignore[arg-type]


def test_alone_there_is_no_strategy() -> None:
    trainer = make_trainer(settings(), 1, unused=True)
    assert isinstance(trainer.strategy, SingleDeviceStrategy)
    assert trainer.world_size == 1


@pytest.mark.parametrize(
    ("strategy", "unused", "finds"),
    [
        ("auto", False, False),
        ("auto", True, True),
        ("ddp", True, False),
        ("ddp_find_unused_parameters_true", False, True),
    ],
)
def test_several_processes_look_for_unused_weights_only_where_there_may_be_some(
    strategy: str, unused: bool, finds: bool
) -> None:
    trainer = make_trainer(settings(devices=2, strategy=strategy), 1, unused=unused)
    assert isinstance(trainer.strategy, DDPStrategy)
    assert trainer.strategy._ddp_kwargs.get("find_unused_parameters", False) is finds


def test_as_many_as_torchrun_has_started(environment: pytest.MonkeyPatch) -> None:
    say(environment, TORCHRUN | {"WORLD_SIZE": 6, "LOCAL_WORLD_SIZE": 3})
    trainer = make_trainer(settings(), 1)
    assert (trainer.num_devices, trainer.num_nodes, trainer.world_size) == (3, 2, 6)
    assert isinstance(trainer.strategy.cluster_environment, TorchElasticEnvironment)
    assert make_trainer(settings(devices="3", num_nodes=2), 1).world_size == 6
    message = "torchrun has started 6 processes, but --devices 2 --num-nodes 1 needs 4: leave both out"
    with pytest.raises(UsageError, match=re.escape(message)):
        make_trainer(settings(devices=2), 1)


def test_as_many_as_srun_has_started(environment: pytest.MonkeyPatch) -> None:
    say(environment, SLURM | {"SLURM_NTASKS": 8, "SLURM_NTASKS_PER_NODE": 4, "SLURM_NNODES": 2, "SLURM_STEP_ID": 0})
    trainer = make_trainer(settings(), 1)
    assert (trainer.num_devices, trainer.num_nodes, trainer.world_size) == (4, 2, 8)
    assert isinstance(trainer.strategy.cluster_environment, SLURMEnvironment)
    assert not trainer.strategy.cluster_environment.auto_requeue
    with pytest.raises(UsageError, match="SLURM has started 8 processes, but --devices 2 --num-nodes 1 needs 4"):
        make_trainer(settings(devices=2), 1)


def test_one_task_of_slurm_may_have_several_devices(environment: pytest.MonkeyPatch) -> None:
    say(environment, SLURM | {"SLURM_NTASKS": 1, "SLURM_NNODES": 1, "SLURM_NTASKS_PER_NODE": 1})
    assert make_trainer(settings(), 1).world_size == 1
    trainer = make_trainer(settings(devices=2), 1)
    assert trainer.num_devices == 2
    assert isinstance(trainer.strategy.cluster_environment, LightningEnvironment)


def test_slurm_without_srun_is_told(environment: pytest.MonkeyPatch) -> None:
    """Otherwise the run would wait for the other tasks forever."""
    say(environment, SLURM | {"SLURM_NTASKS": 4, "SLURM_NTASKS_PER_NODE": 4})
    with pytest.raises(UsageError, match=r"room for 4 tasks in this job, but only one was started: use `srun lenskit"):
        make_trainer(settings(), 1)
    environment.setenv("SLURM_JOB_NAME", "interactive")
    assert make_trainer(settings(), 1).world_size == 1


@pytest.mark.parametrize("strategy", ["fsdp", "ddp_spawn", "ddp_notebook", "deepspeed", "foo"])
def test_strategies_that_runs_are_not_made_for(strategy: str) -> None:
    with pytest.raises(UsageError, match=f"--strategy must be auto, ddp, ddp_find_.*, got '{strategy}'"):
        make_trainer(settings(strategy=strategy), 1)


@pytest.mark.slow
def test_processes_that_lightning_starts_stop_with_the_status_of_the_first(toys, tmp_path: Path) -> None:
    """Lightning kills the first process if another one ends with an error."""
    (tmp_path / "run.toml").write_text(toys(train={"devices": 2}).to_toml())
    answer = subprocess.run(
        [sys.executable, "-m", "lenskit.cli", "train", "--config", "run.toml", "--out", "run"],
        env=os.environ | {"OMP_NUM_THREADS": "1", "TOYS_SIGNAL": "SIGTERM:5"},
        capture_output=True,
        text=True,
    )
    assert answer.returncode == 143, answer.stderr
    assert answer.stderr.count("stopped after 6 of 24 batches") == 1
    assert not Run(tmp_path / "run").finished


@pytest.mark.slow
def test_weights_without_a_gradient_are_named(together, toys, tmp_path: Path) -> None:
    tasks = {}
    for declared in (False, True):
        file = tmp_path / f"{declared}.toml"
        file.write_text(toys(method={"name": "idle", "declared": declared}, train={"epochs": 1}).to_toml())
        tasks[declared] = ["train", "--config", str(file), "--out", str(tmp_path / f"run-{declared}")]
    groups = [
        {"by": "torchrun", "processes": 2, "log": str(tmp_path / f"log-{declared}"), "tasks": [task]}
        for declared, task in tasks.items()
    ]
    assert together(*groups) == [[1, 1], [0, 0]]
    said = (tmp_path / "log-False.0").read_text().splitlines()[-1]
    assert said == (
        "lenskit: nothing.weight, nothing.bias got no gradient, which several processes do not allow by default: use "
        "--strategy ddp_find_unused_parameters_true (or set `unused_parameters = True` in the method)"
    )
    assert "Traceback" not in (tmp_path / "log-False.1").read_text()


def test_nothing_is_said_of_batch_norm_alone(toys, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    from lenskit.training.runner import train

    caplog.set_level(logging.WARNING, "lenskit")
    train(toys(train={"epochs": 1}), tmp_path / "run", progress=False)
    assert "batch norm" not in caplog.text
