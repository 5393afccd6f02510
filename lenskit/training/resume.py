"""Resumption of a run that was stopped or killed."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

import torch

from lenskit.checkpoint import FREE, read_checkpoint, without_start
from lenskit.config import Config
from lenskit.encoder_card import is_as_written
from lenskit.errors import LenskitError, UsageError
from lenskit.lock import held
from lenskit.run import Run
from lenskit.training.ema import Averaging
from lenskit.training.processes import is_first, let_first_speak
from lenskit.training.runner import Job, build

log = logging.getLogger("lenskit")


def resume(path: Path, *, progress: bool = True, **devices: Any) -> Run:
    """Resume a run that was stopped or killed.

    The result is the same as without the interruption.

    Args:
        path: The run directory.
        progress: Whether to show a progress bar.
        devices: New values of `accelerator`, `devices`, `num_nodes` and `strategy`; None keeps a value.

    Returns:
        The run.

    Raises:
        LenskitError: There is nothing to resume, the checkpoint is not of this run, or an option outside of `FREE`
            was changed.
    """
    let_first_speak()
    run = Run(path)
    changed = {key: value for key, value in devices.items() if value is not None}
    if fixed := changed.keys() - FREE["train"]:
        raise UsageError(
            f"{', '.join(sorted(fixed))} cannot be changed when a run resumes: change only "
            f"{', '.join(sorted(FREE['train']))}"
        )
    config = Config.resolve(run.config.sections, {"train": changed}) if changed else run.config
    if not os.path.lexists(run.checkpoint):
        return build(config).fit(run, None, progress)
    state = read_checkpoint(run.path, run.config)
    job = build(without_start(config))
    if state["batches"] >= job.budget.batches:
        log.info("%s is finished: all %d batches are done", path, job.budget.batches)
        if is_first():
            _mend_encoder(run, job)
        return run
    return job.fit(run, state["batches"], progress)


def _mend_encoder(run: Run, job: Job) -> None:
    """Restore a damaged encoder of a finished run from its checkpoint."""
    try:
        run.encoder("last")
        if is_as_written(run.path / "encoder"):
            return
    except LenskitError as error:
        log.warning("%s", error)
    checkpoint = torch.load(run.checkpoint, map_location="cpu", weights_only=True, mmap=True)
    job.method.on_load_checkpoint(checkpoint)
    job.method.load_state_dict(checkpoint["state_dict"])
    if job.settings.ema:
        averaging = Averaging(job.encoder, job.method, job.settings.ema)
        averaging.load_state_dict(checkpoint["callbacks"][averaging.state_key])
    job.encoder.card["trained"] = {"batches": job.budget.batches, "of": job.budget.batches}
    with held(run.path):
        job.encoder.save(run.path / "encoder")
    log.info("the encoder was restored from %s", run.checkpoint)
