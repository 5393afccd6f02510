"""Turns by quarters and mirror images: the eight ways in which a square lies on a square."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from lenskit.plugin import KeyedGenerator, Parameter, Transform, UsageError
from lenskit.toolbox import orient_images, orient_values

How = Literal["alike", "independently", "no"]


class Dihedral(Transform):
    """Each view is turned by 0, 90, 180 or 270 degrees and mirrored or not, each as likely as the others.

    No pixel is interpolated, and the recorded parameters turn with the image: centres and positions as vectors,
    ellipticities, shears and position angles by twice the angle (docs/pairs.md has the formulae).

    What is done to the views of a lens independently, they do not share, and is not learned: which way a lens lies,
    while theta_E, gamma and |e| stay. What is done to them alike they share: it only makes eight lenses of one.

    Args:
        turn: Whether the views of a lens are turned, and then alike or each on its own.
        mirror: Whether they are mirrored, likewise.
    """

    def __init__(self, *, turn: How = "independently", mirror: How = "independently") -> None:
        self.turn, self.mirror = turn, mirror

    def prepare(self, parameters: Sequence[Parameter], image_shape: tuple[int, int, int]) -> None:
        super().prepare(parameters, image_shape)
        _, height, width = image_shape
        if self.turn != "no" and height != width:
            raise UsageError(
                f"images of {height} x {width} pixels cannot be turned by a quarter: "
                "make them square, --set input.size=N, or turn them not at all, turn=no"
            )

    def transform(
        self, images: Tensor, parameters: dict[str, Tensor], rng: KeyedGenerator
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Turns and mirrors each view."""
        views = images.shape[1]
        quarters = _drawn(rng, "turn", 4, views, self.turn)
        mirrored = _drawn(rng, "mirror", 2, views, self.mirror) == 1
        return orient_images(images, quarters, mirrored), orient_values(parameters, quarters, mirrored, self.known)


def _drawn(rng: KeyedGenerator, name: str, count: int, views: int, how: How) -> Tensor:
    """Whole numbers below `count`: (n, views)."""
    if how == "no":
        return torch.zeros(rng.n, views, dtype=torch.int64, device=rng.device)
    numbers = [rng.integers(f"{name}/{view if how == 'independently' else 0}", count) for view in range(views)]
    return torch.stack(numbers, 1)
