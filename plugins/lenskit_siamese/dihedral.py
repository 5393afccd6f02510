"""Rotations by quarter turns and reflections: the eight symmetries of a square."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from lenskit.plugin import KeyedGenerator, Parameter, Transform, UsageError
from lenskit.toolbox import orient_images, orient_values

How = Literal["alike", "independently", "no"]


class Dihedral(Transform):
    """Rotate each view by 0, 90, 180 or 270 degrees and mirror it at random.

    All orientations are equally probable. No pixel is interpolated. The recorded parameters are transformed with the
    image: centres and positions as vectors; ellipticities, shears and position angles by twice the angle
    (docs/guides/pairs.md has the formulae).

    With `independently`, the views of a lens have different orientations. A network then does not learn the
    orientation of a lens, but still learns theta_E, gamma and |e|. With `alike`, the views share one orientation. This
    only augments the data: each lens appears in eight orientations.

    Args:
        turn: Whether to rotate the views: `alike` rotates all views of a lens by the same angle, `independently`
            rotates each view separately, `no` rotates no view.
        mirror: Whether to mirror the views, with the same three choices.
    """

    def __init__(self, *, turn: How = "independently", mirror: How = "independently") -> None:
        self.turn, self.mirror = turn, mirror

    def prepare(self, parameters: Sequence[Parameter], image_shape: tuple[int, int, int]) -> None:
        super().prepare(parameters, image_shape)
        _, height, width = image_shape
        if self.turn != "no" and height != width:
            raise UsageError(
                f"images of {height} x {width} pixels cannot be rotated by 90 degrees: "
                "make them square with --set input.size=N, or use turn=no"
            )

    def transform(
        self, images: Tensor, parameters: dict[str, Tensor], rng: KeyedGenerator
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Rotate and mirror each view."""
        views = images.shape[1]
        quarters = _drawn(rng, "turn", 4, views, self.turn)
        mirrored = _drawn(rng, "mirror", 2, views, self.mirror) == 1
        return orient_images(images, quarters, mirrored), orient_values(parameters, quarters, mirrored, self.known)


def _drawn(rng: KeyedGenerator, name: str, count: int, views: int, how: How) -> Tensor:
    """Return random integers (n, views) from 0 to `count` - 1."""
    if how == "no":
        return torch.zeros(rng.n, views, dtype=torch.int64, device=rng.device)
    numbers = [rng.integers(f"{name}/{view if how == 'independently' else 0}", count) for view in range(views)]
    return torch.stack(numbers, 1)
