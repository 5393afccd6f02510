"""The devices a run trains on: Lightning's Trainer, made of a run's settings."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytorch_lightning as pl
from pytorch_lightning.utilities.exceptions import MisconfigurationException
from pytorch_lightning.utilities.rank_zero import rank_zero_only

from lenskit.errors import UsageError
from lenskit.training.callbacks import WholeFiles
from lenskit.training.settings import TrainSettings

log = logging.getLogger("lenskit")


def make_trainer(
    settings: TrainSettings, epochs: int, callbacks: Sequence[pl.Callback] = (), root: Path | None = None
) -> pl.Trainer:
    """Lightning's Trainer as a run's settings have it.

    Args:
        settings: Which devices, and how they work together.
        epochs: Epochs of the run.
        callbacks: What hangs on it.
        root: The run directory.

    Raises:
        UsageError: if there are no such devices.
    """
    try:
        return pl.Trainer(
            accelerator=settings.accelerator,
            devices=settings.devices,
            num_nodes=settings.num_nodes,
            precision=settings.precision,
            max_epochs=epochs,
            callbacks=list(callbacks),
            plugins=[WholeFiles()],
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            limit_val_batches=0,
            use_distributed_sampler=False,
            default_root_dir=root,
        )
    except (MisconfigurationException, ValueError, TypeError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UsageError(
            f"--accelerator {settings.accelerator} --devices {settings.devices} --num-nodes {settings.num_nodes} "
            f"--precision {settings.precision} is not to be had here: {reason}"
        ) from None


def is_first() -> bool:
    """Whether this is the first process of a run, before a Trainer exists."""
    return getattr(rank_zero_only, "rank", None) in (0, None)


def let_first_speak() -> None:
    """Of several processes only the first says how things go; warnings come from all."""
    if not is_first():
        log.setLevel(logging.WARNING)


@contextmanager
def quiet_lightning() -> Iterator[None]:
    """Keeps Lightning's notes on hardware and loaders off the screen: ours say what matters."""
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
