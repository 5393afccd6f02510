"""Bare training loop in plain PyTorch, the reference for the runner's speed."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from lenskit.data.training_set import Share
from lenskit.errors import UsageError
from lenskit.kinds.pairs import Batch
from lenskit.training.devices import make_trainer, quiet_lightning
from lenskit.training.runner import Job

MIXED = {"bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}


def bare_loop(job: Job, batches: int, warm_up: int) -> float:
    """Return the seconds per batch of a training loop in plain PyTorch.

    The model, batches, precision and optimiser are the same as in a run. Metrics, checkpoints and schedules are left
    out.

    Args:
        job: Job to train.
        batches: Number of batches that count.
        warm_up: Number of first batches, which do not count.

    Raises:
        UsageError: The settings use several processes, or the method steps its optimisers itself.
    """
    with quiet_lightning():
        trainer = make_trainer(job.settings, 1)
    if trainer.world_size > 1:
        raise UsageError("--bare compares in one process: use --devices 1")
    if not job.method.automatic_optimization:
        raise UsageError(f"method {job.config.name('method')!r} steps its optimisers itself: leave out --bare")
    device, settings = trainer.strategy.root_device, job.settings
    method = job.method.to(device).train()
    if settings.precision == "64-true":
        method.double()
    if settings.compile:
        job.compile(trainer)
    optimizer: Any = method.configure_optimizers()
    scaler = torch.amp.GradScaler(device.type, enabled=settings.precision == "16-mixed")
    clip = method.optimizer_settings.clip if "optimizer" in job.config.sections else 0.0
    share, parts = Share(job.budget.batch_size // settings.accumulate), settings.accumulate
    start = 0.0
    job.training_set.to(device)
    try:
        for batch in range(warm_up + batches):
            if batch == warm_up:
                start = _now(device)
            method.batches = batch
            optimizer.zero_grad()
            for part in range(batch * parts, (batch + 1) * parts):
                views = views_of(
                    job, {k: v.to(device) for k, v in job.training_set.fetch(share.of_batch(part)).items()}
                )
                with torch.autocast(device.type, MIXED.get(settings.precision), settings.precision in MIXED):
                    loss = method.training_step(views, batch)["loss"] / parts
                scaler.scale(loss).backward()
            if clip:
                scaler.unscale_(optimizer)
                torch.nn.utils.clip_grad_norm_(method.parameters(), clip)
            scaler.step(optimizer)
            scaler.update()
            method.after_update()
        return (_now(device) - start) / batches
    finally:
        job.training_set.close()


def views_of(job: Job, fetched: dict[str, Tensor]) -> Batch:
    """Return a batch with views in the network's precision and memory format.

    Args:
        job: Job with the training set and settings.
        fetched: Tensors that `TrainingSet.fetch` returned, on the device.
    """
    batch = job.training_set.batch(fetched)
    layout = torch.channels_last if job.settings.channels_last else torch.preserve_format
    dtype = torch.float64 if job.settings.precision == "64-true" else None
    return replace(batch, views=tuple(view.to(dtype=dtype, memory_format=layout) for view in batch.views))


def _now(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()
