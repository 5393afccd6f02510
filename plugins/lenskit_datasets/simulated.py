"""Description of simulated pairs, copied from their plan to a reader."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lenskit.plugin import Dataset, UsageError
from lenskit.toolbox import Plan
from lenskit_datasets.pixels import by


def follow_plan(dataset: Dataset, plan: Plan, size: int | None = None) -> None:
    """Copy parameters, shape, views, chunks and configuration from a plan to a reader.

    Chunks are the same in every format, so that the order of the lenses in training is the same too.

    Args:
        dataset: Reader that receives the description.
        plan: Plan of the simulation.
        size: Height and width of the central part of each image; by default the entire image.

    Raises:
        UsageError: The images are smaller than `size`.
    """
    channels, height, width = plan.image_shape
    if size is not None and size > min(height, width):
        raise UsageError(f"the images have {by((height, width))} pixels, fewer than size={size}")
    dataset.parameters, dataset.image_shape = plan.parameters, (channels, size or height, size or width)
    dataset.pixel_scale = plan.pixel_scale
    dataset.views, dataset.shared_groups, dataset.chunk = plan["views"], frozenset(plan["shared"]), plan["chunk"]
    dataset.stored_as, dataset.configuration = plan["dtype"], plan.configuration


class Numbered(Sequence[str]):
    """Names of lenses that equal their numbers, created on demand.

    Args:
        count: Number of lenses.
    """

    def __init__(self, count: int) -> None:
        self._count = count

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, place: Any) -> Any:
        numbers = range(self._count)[place]
        return [str(number) for number in numbers] if isinstance(place, slice) else str(numbers)
