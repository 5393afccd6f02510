"""Pair strategies: what the views of a lens share, and what is done to them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lenskit.generator import KeyedGenerator
from lenskit.kinds.parameter import Parameter


@dataclass
class Batch:
    """What a method learns from.

    Attributes:
        views: Each a batch of images (n, channels, height, width); row i of every view shows the same lens.
        parameters: For each recorded parameter, its value in each view: (n, number of views).
        index: (n,) int64, number of each lens.
    """

    views: tuple[Tensor, ...]
    parameters: dict[str, Tensor]
    index: Tensor


class PairStrategy(ABC):
    """Says how many renderings of a lens it wants, what they share, and makes views of them.

    The strategy owns the views: a method never crops or blurs, because that may change what is to be learned.
    """

    draws: int
    """Number of renderings wanted of each lens."""

    shared_groups: frozenset[str] = frozenset()
    """Parameter groups that those renderings share; all others are drawn anew for each."""

    views: int
    """Number of views that come out."""

    known: Sequence[Parameter] = ()
    """What is known of the recorded parameters, once there are images."""

    def prepare(self, parameters: Sequence[Parameter], image_shape: tuple[int, int, int]) -> None:
        """Called before the first batch, and again if images are resized to what the backbone takes.

        Args:
            parameters: The recorded parameters.
            image_shape: Channels, height and width of the images that views are made of.

        Raises:
            UsageError: if no views can be made of such images.
        """
        self.known = tuple(parameters)

    def __call__(self, images: Tensor, parameters: dict[str, Tensor], rng: KeyedGenerator) -> Batch:
        """Makes the views: by default the renderings as they are.

        Args:
            images: (n, draws, channels, height, width).
            parameters: For each recorded parameter, its values (n, draws).
            rng: The numbers of these lenses (group `views`), one row a lens.

        Returns:
            A batch with `views` views.
        """
        return Batch(images.unbind(1), parameters, rng.index)


class Transform(PairStrategy):
    """Does something to images, whatever they share.

    Alone it takes one image and makes two views of it; behind a plus (`lens-fixed+blur`) it transforms the views that
    stand before. Every view has random numbers of its own: name them with the view's number, as in `sigma/0`.
    """

    draws = 1
    views = 2

    @abstractmethod
    def transform(
        self, images: Tensor, parameters: dict[str, Tensor], rng: KeyedGenerator
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Transforms views.

        Args:
            images: (n, views, channels, height, width).
            parameters: For each recorded parameter, its values (n, views).
            rng: The numbers of these lenses, one row a lens.

        Returns:
            Both, in the same shapes; parameters that the transformation changes are those of the new images.
        """

    def __call__(self, images: Tensor, parameters: dict[str, Tensor], rng: KeyedGenerator) -> Batch:
        """Makes `views` views of one image (n, 1, channels, height, width)."""
        copies = images.expand(-1, self.views, -1, -1, -1)
        values = {name: value.expand(-1, self.views) for name, value in parameters.items()}
        images, values = self.transform(copies, values, rng)
        return Batch(images.unbind(1), values, rng.index)


class Composition(PairStrategy):
    """A strategy whose views are transformed: `lens-fixed+blur`.

    Args:
        first: Says what is drawn and shared, and makes the views.
        transforms: By name, what is then done to them, in this order.
    """

    def __init__(self, first: PairStrategy, transforms: Mapping[str, Transform]) -> None:
        self.first, self.transforms = first, dict(transforms)
        self.draws, self.shared_groups, self.views = first.draws, first.shared_groups, first.views

    def prepare(self, parameters: Sequence[Parameter], image_shape: tuple[int, int, int]) -> None:
        super().prepare(parameters, image_shape)
        for part in (self.first, *self.transforms.values()):
            part.prepare(parameters, image_shape)

    def __call__(self, images: Tensor, parameters: dict[str, Tensor], rng: KeyedGenerator) -> Batch:
        """The first strategy's views, transformed: each part has random numbers of its own."""
        batch = self.first(images, parameters, rng)
        views, values = torch.stack(batch.views, 1), batch.parameters
        for name, transform in self.transforms.items():
            views, values = transform.transform(views, values, rng.part(name))
        return Batch(views.unbind(1), values, batch.index)
