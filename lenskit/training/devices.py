"""Lightning's Trainer for the devices that a run's settings select."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.plugins.environments import (
    ClusterEnvironment,
    LightningEnvironment,
    SLURMEnvironment,
    TorchElasticEnvironment,
)
from pytorch_lightning.strategies.launchers import _MultiProcessingLauncher
from torch.nn.modules.batchnorm import _BatchNorm

from lenskit.errors import UsageError
from lenskit.settings import TrainSettings
from lenskit.training.callbacks import WholeFiles

log = logging.getLogger("lenskit")

STRATEGIES = ("auto", "ddp", "ddp_find_unused_parameters_true", "ddp_find_unused_parameters_false")
"""Strategies that a run can use. With them, each process holds all weights, which the encoder and checkpoints need, and
training returns in the process that started it."""


def make_trainer(
    settings: TrainSettings,
    epochs: int,
    callbacks: Sequence[pl.Callback] = (),
    root: Path | None = None,
    unused: bool = False,
) -> pl.Trainer:
    """Return Lightning's Trainer for a run's settings.

    If torchrun or SLURM started the processes, the settings must agree with their number. Several processes use
    DistributedDataParallel. On CUDA GPUs, batch norm is synchronised.

    Args:
        settings: Devices, number of nodes, strategy and precision.
        epochs: Epochs of the run.
        callbacks: Callbacks of the Trainer.
        root: The run directory.
        unused: Whether the strategy `auto` must allow weights without a gradient when there are several processes.

    Raises:
        UsageError: The devices, precision or strategy are not available, or torchrun or SLURM started a different
            number of processes.
    """
    if settings.strategy not in STRATEGIES:
        raise UsageError(
            f"--strategy must be {', '.join(STRATEGIES[:-1])} or {STRATEGIES[-1]}, got {settings.strategy!r}"
        )
    launch = _Launch.found(settings)

    def make(strategy: str) -> pl.Trainer:
        return pl.Trainer(
            accelerator=settings.accelerator,
            devices=launch.devices,
            num_nodes=launch.num_nodes,
            strategy=strategy,
            precision=settings.precision,
            sync_batchnorm=_on_cuda(settings.accelerator),
            max_epochs=epochs,
            callbacks=list(callbacks),
            plugins=[WholeFiles(), *([launch.environment] if launch.environment else [])],
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            limit_val_batches=0,
            use_distributed_sampler=False,
            default_root_dir=root,
        )

    try:
        trainer = make(settings.strategy)
        if unused and settings.strategy == "auto" and trainer.num_devices * trainer.num_nodes > 1:
            trainer = make("ddp_find_unused_parameters_true")
    except Exception as error:  # Lightning calls libraries of devices, which may raise anything
        reason = " ".join(str(error).split())[:200]
        strategy = "" if settings.strategy == "auto" else f"--strategy {settings.strategy} "
        raise UsageError(
            f"--accelerator {settings.accelerator} --devices {settings.devices} --num-nodes {settings.num_nodes} "
            f"{strategy}--precision {settings.precision} is not available here: {reason}"
        ) from None
    _check(trainer, settings, launch)
    return trainer


def _on_cuda(accelerator: str) -> bool:
    """Whether training will use CUDA GPUs, where batch norm can be synchronised."""
    return accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available()


@dataclass(frozen=True)
class _Launch:
    """Devices and nodes of a run, and the launcher that started the processes.

    Attributes:
        devices: Devices per node, as Lightning takes them.
        num_nodes: Number of nodes.
        by: Name of the launcher, `torchrun` or `SLURM`; empty if Lightning starts the processes.
        processes: Number of processes that the launcher started.
        environment: Cluster environment for Lightning; None to let Lightning find it.
    """

    devices: Any
    num_nodes: int
    by: str = ""
    processes: int | None = None
    environment: ClusterEnvironment | None = None

    @classmethod
    def found(cls, settings: TrainSettings) -> _Launch:
        """Return devices and nodes; counts of torchrun or SLURM replace defaults."""
        devices, num_nodes, env = settings.devices, settings.num_nodes, os.environ
        if TorchElasticEnvironment.detect():
            world, local = int(env["WORLD_SIZE"]), int(env["LOCAL_WORLD_SIZE"])
            return cls._of("torchrun", world, local, world // local, settings)
        if "SLURM_NTASKS" not in env or SLURMEnvironment.job_name() in ("bash", "interactive"):
            return cls(devices, num_nodes)
        tasks = int(env["SLURM_NTASKS"])
        if tasks == 1:
            # One task that may have several devices: Lightning starts the processes itself.
            return cls(devices, num_nodes, environment=LightningEnvironment())
        if not {"SLURM_STEP_ID", "SLURM_STEPID"} & env.keys():
            raise UsageError(
                f"SLURM has room for {tasks} tasks in this job, but only one was started: use `srun lenskit train ...`"
            )
        nodes = int(env.get("SLURM_NNODES", 1))
        local = int(env.get("SLURM_NTASKS_PER_NODE", tasks // nodes))
        return cls._of("SLURM", tasks, local, nodes, settings, SLURMEnvironment(auto_requeue=False))

    @classmethod
    def _of(
        cls, by: str, world: int, local: int, nodes: int, settings: TrainSettings,
        environment: ClusterEnvironment | None = None,
    ) -> _Launch:  # fmt: skip
        devices = local if settings.devices == "auto" else settings.devices
        return cls(devices, nodes if settings.num_nodes == 1 else settings.num_nodes, by, world, environment)


def _check(trainer: pl.Trainer, settings: TrainSettings, launch: _Launch) -> None:
    world = trainer.num_devices * trainer.num_nodes
    if launch.processes not in (None, world):
        raise UsageError(
            f"{launch.by} has started {launch.processes} processes, but --devices {settings.devices} --num-nodes "
            f"{settings.num_nodes} needs {world}: leave both out"
        )
    if isinstance(trainer.strategy.launcher, _MultiProcessingLauncher):
        raise UsageError("several devices cannot train from a notebook: use devices=1, or `lenskit train`")


def check_batch_norm(trainer: pl.Trainer, module: pl.LightningModule) -> None:
    """Warn if batch norm is not synchronised across processes, as on CPUs."""
    if trainer.world_size > 1 and trainer.strategy.root_device.type != "cuda" and trainer.is_global_zero:
        norms = sum(isinstance(part, _BatchNorm) for part in module.modules())
        if norms:
            log.warning(
                "%d batch norms are synchronised on GPUs only: on CPUs, each of %d processes uses only its own lenses",
                norms,
                trainer.world_size,
            )


@contextmanager
def quiet_lightning() -> Iterator[None]:
    """Hide Lightning's messages about hardware and loaders inside the context."""
    loggers = [logging.getLogger(name) for name in ("pytorch_lightning", "lightning.pytorch", "lightning_fabric")]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.WARNING)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"(pytorch_lightning|lightning_fabric)\..*")
        try:
            yield
        finally:
            for logger, level in zip(loggers, before, strict=True):
                logger.setLevel(level)
