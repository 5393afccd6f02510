"""Images through a trained encoder or method, wherever the images come from."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lenskit.data.images import Chunk, simulated, stored
from lenskit.encoder import Encoder
from lenskit.errors import LenskitError, UsageError
from lenskit.kinds.dataset import Dataset
from lenskit.kinds.method import Method
from lenskit.kinds.simulator import Simulator

Answer = Literal["score", "reconstruct"]
"""A hook of a method that answers for each image."""


def chunks_of(
    encoder: Encoder, simulator: Callable[[], Simulator], images: Any, seed: int, split: str, batch_size: int
) -> Iterable[Chunk]:
    """Return images, some at a time, with their recorded parameters.

    Args:
        encoder: What will take the images.
        simulator: Makes the simulator, if lenses are to be drawn.
        images: As `Run.embed` takes them.
        seed: Seed of simulated lenses.
        split: Part of the data that simulated lenses are of.
        batch_size: Simulated lenses at a time.

    Raises:
        UsageError: if the encoder does not take such images.
    """
    if isinstance(images, int):
        if images < 1:
            raise UsageError(f"the number of lenses to draw is 1 or more, got {images}")
        where = next(encoder.parameters()).device
        return simulated(simulator(), seed=seed, split=split, lenses=images, chunk=batch_size, device=where)
    if isinstance(images, str | Path):
        return stored(encoder.open(str(images)))
    if isinstance(images, Dataset):
        encoder.check_pixel_scale(images)
        return stored(images)
    return [(encoder.images(images), {})]


def apply_method(
    method: Method, encoder: Encoder, chunks: Iterable[Chunk], what: Answer, batch_size: int, missing: str
) -> tuple[NDArray[Any], dict[str, NDArray[np.float64]]]:
    """Return what a method says of images; see `Run.score` and `Run.reconstruct`.

    Args:
        method: The trained method.
        encoder: Its encoder, on the same device, which prepares the images.
        chunks: The images, as `chunks_of` gives them.
        what: The hook of the method.
        batch_size: Images at a time.
        missing: Message if the method does not answer.

    Raises:
        UsageError: if there are no images.
        LenskitError: if the method does not answer, or images hold pixels that are not finite.
    """
    where = next(encoder.parameters()).device
    found: list[Tensor] = []
    values: dict[str, list[Tensor]] = {}
    for raw, known in chunks:
        for part in raw.split(batch_size):
            if len(part):
                prepared = encoder.prepare(part.to(where))
                with torch.inference_mode():
                    answer = getattr(method, what)(prepared)
                    if answer is None:
                        raise LenskitError(missing)
                    found.append((answer.double() if what == "score" else answer.float()).cpu())
        for name, value in known.items():
            values.setdefault(name, []).append(value.double().cpu())
    if not found:
        raise UsageError(f"there are no images to {what}")
    return torch.cat(found).numpy(), {name: torch.cat(value).numpy() for name, value in values.items()}
