"""What readers of simulated pairs have in common: what the plan says that the pairs were made by."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lenskit.plugin import Dataset, UsageError
from lenskit.toolbox import Plan
from lenskit_datasets.pixels import by


def follow_plan(dataset: Dataset, plan: Plan, size: int | None = None) -> None:
    """Takes over what a plan says of its images: parameters, shape, views, chunks, configuration.

    Chunks are the same whatever the format, and with them the order in which the lenses are learned from.

    Args:
        dataset: The reader.
        plan: What the pairs were made by.
        size: Height and width of the middle of each image that is used, if not all of it.

    Raises:
        UsageError: if the images are smaller than that.
    """
    channels, height, width = plan.image_shape
    if size is not None and size > min(height, width):
        raise UsageError(f"the images have {by((height, width))} pixels, fewer than size={size}")
    dataset.parameters, dataset.image_shape = plan.parameters, (channels, size or height, size or width)
    dataset.pixel_scale = plan.pixel_scale
    dataset.views, dataset.shared_groups, dataset.chunk = plan["views"], frozenset(plan["shared"]), plan["chunk"]
    dataset.stored_as, dataset.configuration = plan["dtype"], plan.configuration


class Numbered(Sequence[str]):
    """Names of lenses that are called by their numbers, made when they are asked for.

    Args:
        count: How many.
    """

    def __init__(self, count: int) -> None:
        self._count = count

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, place: Any) -> Any:
        numbers = range(self._count)[place]
        return [str(number) for number in numbers] if isinstance(place, slice) else str(numbers)
