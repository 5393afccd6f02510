"""What a trained run says of images, wherever these come from."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lenskit.data.source import Chunk, simulated, stored
from lenskit.encoder import Encoder, find_device
from lenskit.errors import LenskitError, UsageError
from lenskit.kinds.dataset import Dataset

if TYPE_CHECKING:
    from lenskit.run import Run

MISSING = {
    "score": "has no score of its own; an evaluation may judge it by other means: see `lenskit list evaluations`",
    "reconstruct": "makes no images",
}
"""What is said of a method that cannot do a thing."""


def chunks_of(run: Run, encoder: Encoder, images: Any, seed: int, split: str, batch_size: int) -> Iterable[Chunk]:
    """Images and what is known of them; see `Run.embed` for what they may be.

    Raises:
        UsageError: if they are none that the encoder takes.
    """
    if isinstance(images, int):
        if images < 1:
            raise UsageError(f"the number of lenses to draw is 1 or more, got {images}")
        where = next(encoder.parameters()).device
        return simulated(run.simulator(), seed=seed, split=split, lenses=images, chunk=batch_size, device=where)
    if isinstance(images, str | Path):
        return stored(encoder.open(str(images)))
    if isinstance(images, Dataset):
        encoder.check_pixel_scale(images)
        return stored(images)
    return [(encoder.images(images), {})]


def apply_method(
    run: Run,
    what: Literal["score", "reconstruct"],
    images: Any,
    seed: int,
    split: str,
    batch_size: int,
    device: str,
) -> tuple[NDArray[Any], dict[str, NDArray[np.float64]]]:
    """What a run's method says of images, see `Run.score` and `Run.reconstruct`."""
    where = find_device(device)
    found: list[Tensor] = []
    values: dict[str, list[Tensor]] = {}
    with torch.random.fork_rng():  # which opening a run draws from, too: the first weights of what it then loads
        method, encoder = run.method().to(where), run.encoder().to(where)
        torch.manual_seed(seed)
        for raw, known in chunks_of(run, encoder, images, seed, split, batch_size):
            for part in raw.split(batch_size):
                if len(part):
                    found.append(_answer(run, getattr(method, what), what, encoder.prepare(part.to(where))))
            for name, value in known.items():
                values.setdefault(name, []).append(value.double().cpu())
    if not found:
        raise UsageError(f"there are no images to {what}")
    return torch.cat(found).numpy(), {name: torch.cat(value).numpy() for name, value in values.items()}


@torch.inference_mode()
def _answer(run: Run, ask: Any, what: str, images: Tensor) -> Tensor:
    answer = ask(images)
    if answer is None:
        name = run.config.name("method")
        raise LenskitError(f"the method of {run.path}, {name}, {MISSING[what]}")
    return (answer.double() if what == "score" else answer.float()).cpu()
