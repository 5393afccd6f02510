"""What readers of simulated pairs know from the plan that the pairs were made by."""

from __future__ import annotations

from pathlib import Path

from lenskit.plugin import Dataset, Plan


def follow_plan(dataset: Dataset, plan: Plan, size: int | None = None) -> None:
    """Takes over what a plan says of its images: parameters, shape, views, chunks, configuration.

    Chunks are the same whatever the format, and with them the order in which the lenses are learned from.

    Args:
        dataset: The reader.
        plan: What the pairs were made by.
        size: Height and width of the middle of each image that is used, if not all of it.
    """
    channels, height, width = plan.image_shape
    dataset.parameters, dataset.image_shape = plan.parameters, (channels, size or height, size or width)
    dataset.pixel_scale = plan.pixel_scale
    dataset.views, dataset.shared, dataset.chunk = plan["views"], frozenset(plan["shared"]), plan["chunk"]
    dataset.stored_as, dataset.configuration = plan["dtype"], plan.configuration


def made_again_with(path: Path) -> str:
    """The advice for pairs of which something is missing."""
    return f"make it with: lenskit simulate --out {path}"
