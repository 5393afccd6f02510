"""Application of a trained encoder or method to images of any source."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lenskit.contracts.method import Answer, check_answer
from lenskit.data.lens_set import ArrayLenses, LensSet, join_values
from lenskit.data.simulated import SimulatedLenses
from lenskit.data.stored import StoredLenses
from lenskit.encoder import Encoder
from lenskit.errors import LenskitError, UsageError
from lenskit.kinds.dataset import Dataset
from lenskit.kinds.method import Method, Reconstructor, Scorer
from lenskit.kinds.simulator import Simulator


def lens_set_of(encoder: Encoder, simulator: Callable[[], Simulator], images: Any, seed: int, split: str) -> LensSet:
    """Return images as a lens set.

    Args:
        encoder: The encoder that the images are for.
        simulator: Returns the simulator; called only if `images` is a number.
        images: A number of lenses to simulate, a path, a dataset or an array, as for `Run.embed`.
        seed: Random seed of simulated lenses.
        split: Split of simulated lenses, such as `train`.

    Raises:
        UsageError: The encoder does not accept the images.
    """
    if isinstance(images, int):
        if images < 1:
            raise UsageError(f"the number of lenses must be 1 or more, got {images}")
        lenses = SimulatedLenses(simulator(), seed=seed, split=split, index=images)
        return lenses.to(next(encoder.parameters()).device)
    if isinstance(images, str | Path):
        return StoredLenses(encoder.open(str(images)))
    if isinstance(images, Dataset):
        encoder.check_pixel_scale(images)
        return StoredLenses(images)
    return ArrayLenses(encoder.images(images))


def apply_method(
    method: Method, encoder: Encoder, lenses: LensSet, hook: Answer, batch_size: int, missing: str
) -> tuple[NDArray[Any], dict[str, NDArray[np.float64]]]:
    """Return scores or reconstructions of images, for `Run.score` and `reconstruct`.

    Args:
        method: The trained method.
        encoder: Its encoder, on the same device. It prepares the images.
        lenses: The images.
        hook: Function of the method: `score` or `reconstruct`.
        batch_size: Images per batch.
        missing: Message of the error if the method does not have the function.

    Returns:
        The scores or reconstructions, and the recorded values of the images.

    Raises:
        UsageError: There are no images.
        LenskitError: The method does not have the function, or images have pixels that are not finite.
    """
    if not isinstance(method, Scorer if hook == "score" else Reconstructor):
        raise LenskitError(missing)
    where = next(encoder.parameters()).device
    answers: list[Tensor] = []
    values: list[dict[str, NDArray[np.float64]]] = []
    for read in lenses.chunks(batch_size):
        for part in read.images.split(batch_size):
            if len(part):
                prepared = encoder.prepare(part.to(where))
                with torch.inference_mode():
                    answer = getattr(method, hook)(prepared)
                    if answer is None:
                        raise LenskitError(missing)
                    check_answer(method, hook, answer, prepared)
                    answers.append((answer.double() if hook == "score" else answer.float()).cpu())
        values.append(read.arrays())
    if not answers:
        raise UsageError(f"there are no images to {hook}")
    return torch.cat(answers).numpy(), join_values(values)
