"""Goes on with a run that was stopped or killed."""

from __future__ import annotations

import logging
import pickle
from pathlib import Path
from typing import Any

import torch

from lenskit.config import Config
from lenskit.errors import LenskitError
from lenskit.run import Run
from lenskit.training.devices import let_first_speak
from lenskit.training.runner import Job

log = logging.getLogger("lenskit")


def resume(path: Path, *, progress: bool = True, **devices: Any) -> Run:
    """Goes on with a run that was stopped or killed; it ends as if it had not been.

    Args:
        path: The run directory.
        progress: Whether to draw a progress bar.
        devices: `accelerator`, `devices` and `num_nodes`, where they are others than before.

    Raises:
        LenskitError: if there is nothing to resume, or the checkpoint is not this run's.
    """
    let_first_speak()
    run = Run(path)
    changed = {key: value for key, value in devices.items() if value is not None}
    config = Config.resolve(run.config.sections, {"train": changed}) if changed else run.config
    if not run.checkpoint.is_file():
        return Job(config).fit(run, None, progress)
    state = read_checkpoint(run)
    job = Job(config)
    if state["batches"] >= job.budget.batches:
        log.info("%s is finished: all %d batches are done", path, job.budget.batches)
        return run
    return job.fit(run, state["batches"], progress)


def read_checkpoint(run: Run) -> dict[str, Any]:
    """What a run's checkpoint says of itself.

    Raises:
        LenskitError: if it cannot be read without running code in it, or is of another method or backbone.
    """
    try:
        state = torch.load(run.checkpoint, map_location="cpu", weights_only=True, mmap=True)["lenskit"]
        names = {section: state["config"][section]["name"] for section in ("method", "backbone")}
    except (pickle.UnpicklingError, OSError, RuntimeError, KeyError, TypeError) as error:
        reason = " ".join(str(error).split())[:160]
        raise LenskitError(f"{run.checkpoint} is no checkpoint of lenskit, or is damaged: {reason}") from None
    for section, saved in names.items():
        wanted = run.config.name(section)
        if saved != wanted:
            raise LenskitError(
                f"{run.checkpoint} is of the {section} {saved!r}, but {run.path / 'run.toml'} says {wanted!r}"
            )
    return state
