"""Errors when training runs out of memory, with advice on a batch that fits."""

from __future__ import annotations

import gc
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import pytorch_lightning as pl
import torch
from lightning_fabric.utilities import move_data_to_device

from lenskit.errors import LenskitError
from lenskit.kinds.method import Method
from lenskit.out_of_memory import asked_for, is_out_of_memory
from lenskit.training.stream import Stream


@contextmanager
def building(name: str, advice: str) -> Iterator[None]:
    """Replace an out-of-memory error inside the context by one line with advice.

    Args:
        name: Name of the object that is built, for the message.
        advice: Text on how to use less memory.

    Raises:
        LenskitError: Instead of the out-of-memory error.
    """
    try:
        yield
    except (MemoryError, RuntimeError, ValueError) as error:
        if not is_out_of_memory(error):
            raise
        raise LenskitError(f"there is not enough memory for {name}{asked_for(error)}: {advice}") from None


SMALLER_IMAGES = (
    "use smaller images, or smaller options of the simulator, the data or the pairs (size, supersampling, PSF)"
)


def release(error: BaseException) -> None:
    """Free the memory that the traceback of an error still holds."""
    traceback.clear_frames(error.__traceback__)
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def largest_that_fits(step: Callable[[int], object], lenses: int, least: int = 2) -> int | None:
    """Return the largest half, quarter, ... of a batch that fits into memory.

    Args:
        step: Function that trains on a batch of this number of lenses.
        lenses: Number of lenses of the batch that did not fit.
        least: Smallest number of lenses to try.

    Returns:
        Number of lenses; None if even the smallest batch does not fit.
    """
    while (lenses := lenses // 2) >= least:
        try:
            step(lenses)
            return lenses
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            release(error)
    return None


def advice(batch_size: int, parts: int, processes: int, fits: int | None, divisible: bool = True) -> str:
    """Return advice on options that need less memory.

    Args:
        batch_size: Lenses per batch, over all processes.
        parts: Number of parts of a batch.
        processes: Number of processes that share each part.
        fits: Number of lenses that fit at once in one process; None if not even 2 fit.
        divisible: Whether the method supports batches in parts.
    """
    if fits is None:
        return "not even a batch of 2 lenses fits: use a smaller --backbone, or smaller images (--set input.size=N)"
    at_once = fits * processes
    smaller = f"{fits} would fit: use --batch-size {at_once * parts}"
    for more in range(parts + 1, batch_size // (2 * processes) + 1) if divisible else ():
        if batch_size % (more * processes) == 0 and batch_size // more <= at_once:
            return f"{smaller}, or keep the batch and divide it into parts with --set train.accumulate={more}"
    return smaller


@contextmanager
def explained(trainer: pl.Trainer, method: Method, stream: Stream) -> Iterator[None]:
    """Replace an out-of-memory error in training by advice on a batch that fits.

    Args:
        trainer: Trainer of the run.
        method: Method of the run.
        stream: Training stream of the run.

    Raises:
        LenskitError: Instead of the out-of-memory error.
    """
    try:
        yield
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        asked = asked_for(error)
        release(error)
        processes, device = trainer.world_size, trainer.strategy.root_device
        lenses = stream.budget.batch_size // stream.parts // processes
        # With several processes no smaller batch is tried, because some processes may have enough memory. Guess half.
        half = lenses // 2 if lenses >= 4 else None
        fits = half
        if processes == 1:
            try:
                fits = largest_that_fits(partial(_learn, trainer, method, stream), lenses)
            except Exception:  # the method's step does not work outside of Trainer.fit: guess half
                fits = half
        said = advice(stream.budget.batch_size, stream.parts, processes, fits, method.automatic_optimization)
        if fits is None and largest_that_fits(partial(_make, trainer, stream), 4) is None:
            said = f"not even the images of 2 lenses fit{asked}: {SMALLER_IMAGES}"
    else:
        return
    raise LenskitError(f"{device} is out of memory with {lenses} lenses at a time: {said}")


def _make(trainer: pl.Trainer, stream: Stream, lenses: int) -> None:
    """Make the images of a batch."""
    stream.make(move_data_to_device(stream.training_set.fetch(torch.arange(lenses)), trainer.strategy.root_device))


def _learn(trainer: pl.Trainer, method: Method, stream: Stream, lenses: int) -> None:
    """Train on one batch with new optimisers; the state of the run changes."""
    precision, device = trainer.strategy.precision_plugin, trainer.strategy.root_device
    method.zero_grad(set_to_none=True)
    method.to(device).train()
    trainer.strategy.setup_optimizers(trainer)
    batch = stream.make(move_data_to_device(stream.training_set.fetch(torch.arange(lenses)), device))
    # Not the instance's training_step, which `Accumulation` may have wrapped.
    with precision.train_step_context():
        loss = type(method).training_step(method, batch, 0)["loss"]
    if method.automatic_optimization:
        loss.backward()
        trainer.strategy.optimizers[0].step()
