"""Running out of memory while training: finding the batch that would fit."""

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
def building(what: str, advice: str) -> Iterator[None]:
    """Say what needs too much memory while something is built.

    Raises:
        LenskitError: in the place of the error that says that there is none.
    """
    try:
        yield
    except (MemoryError, RuntimeError, ValueError) as error:
        if not is_out_of_memory(error):
            raise
        raise LenskitError(f"there is not enough memory for {what}{asked_for(error)}: {advice}") from None


SMALLER_IMAGES = (
    "use smaller images, or smaller options of the simulator, the data or the pairs (size, supersampling, PSF)"
)


def release(error: BaseException) -> None:
    """Gives back the memory that an error's traceback still holds."""
    traceback.clear_frames(error.__traceback__)
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def largest_that_fits(step: Callable[[int], object], lenses: int, least: int = 2) -> int | None:
    """The largest half, quarter, ... of a batch that fits into memory.

    Args:
        step: Learns from a batch of so many lenses, as training does.
        lenses: The batch that did not fit.
        least: The smallest that makes sense.

    Returns:
        That many lenses; None if not even the least fit.
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
    """What would need less memory, as a user says it.

    Args:
        batch_size: Lenses a batch, over all processes.
        parts: Parts that it is taken in.
        processes: How many share each part.
        fits: Lenses that fit at once in one process; None if none do.
        divisible: Whether the method can take a batch in parts.
    """
    if fits is None:
        return "not even a batch of 2 lenses fits: use a smaller --backbone, or smaller images (--set input.size=N)"
    at_once = fits * processes
    smaller = f"{fits} would fit: use --batch-size {at_once * parts}"
    for more in range(parts + 1, batch_size // (2 * processes) + 1) if divisible else ():
        if batch_size % (more * processes) == 0 and batch_size // more <= at_once:
            return f"{smaller}, or keep the batch and take it in parts with --set train.accumulate={more}"
    return smaller


@contextmanager
def explained(trainer: pl.Trainer, method: Method, stream: Stream) -> Iterator[None]:
    """Says which batch would fit, of a run that has no memory for its own.

    Raises:
        LenskitError: in the place of the error that says that there is none.
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
        # Processes that share a batch do not run out of memory together, and could not try one together.
        half = lenses // 2 if lenses >= 4 else None
        fits = half
        if processes == 1:
            try:
                fits = largest_that_fits(partial(_learn, trainer, method, stream), lenses)
            except Exception:  # a method that cannot learn outside of training: then a guess has to do
                fits = half
        said = advice(stream.budget.batch_size, stream.parts, processes, fits, method.automatic_optimization)
        if fits is None and largest_that_fits(partial(_make, trainer, stream), 4) is None:
            said = f"not even the images of 2 lenses fit{asked}: {SMALLER_IMAGES}"
    else:
        return
    raise LenskitError(f"{device} is out of memory with {lenses} lenses at a time: {said}")


def _make(trainer: pl.Trainer, stream: Stream, lenses: int) -> None:
    """The images of a batch."""
    stream.make(move_data_to_device(stream.training_set.fetch(torch.arange(lenses)), trainer.strategy.root_device))


def _learn(trainer: pl.Trainer, method: Method, stream: Stream, lenses: int) -> None:
    """What a run does with a batch, from nothing: the run is over, so nothing of its state matters any more."""
    precision, device = trainer.strategy.precision_plugin, trainer.strategy.root_device
    method.zero_grad(set_to_none=True)
    method.to(device).train()
    trainer.strategy.setup_optimizers(trainer)
    batch = stream.make(move_data_to_device(stream.training_set.fetch(torch.arange(lenses)), device))
    # Not the instance's own, which may be that of a batch in parts.
    with precision.train_step_context():
        loss = type(method).training_step(method, batch, 0)["loss"]
    if method.automatic_optimization:
        loss.backward()
        trainer.strategy.optimizers[0].step()
