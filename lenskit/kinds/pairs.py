"""Pair strategies: what the views of a lens share, and what is done to them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from lenskit.data.generator import KeyedGenerator


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

    draws: ClassVar[int]
    """Number of renderings wanted of each lens."""

    shared: ClassVar[frozenset[str]] = frozenset()
    """Parameter groups that those renderings share; all others are drawn anew for each."""

    views: ClassVar[int]
    """Number of views that come out."""

    @abstractmethod
    def __call__(self, images: Tensor, parameters: dict[str, Tensor], rng: KeyedGenerator) -> Batch:
        """Makes the views.

        Args:
            images: (n, draws, channels, height, width).
            parameters: For each recorded parameter, its values (n, draws).
            rng: The numbers of these lenses (group `views`), one row a lens.

        Returns:
            A batch with `views` views.
        """
