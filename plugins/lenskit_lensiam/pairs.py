"""LenSiam's pair: two images of one lens."""

from __future__ import annotations

from torch import Tensor

from lenskit.plugin import Batch, KeyedGenerator, PairStrategy


class LensFixed(PairStrategy):
    """Two images of the same lens with another source, lens light, PSF and noise.

    In LenSiam (https://openreview.net/forum?id=xww53DuKJO) the parameters of the lens's mass are the group `lens`,
    which both images share; every other group is drawn anew. Nothing is done to the images, for a crop would change
    the Einstein radius, which is to be learned.
    """

    draws = 2
    shared = frozenset({"lens"})
    views = 2

    def __call__(self, images: Tensor, parameters: dict[str, Tensor], rng: KeyedGenerator) -> Batch:
        """The two renderings (n, 2, channels, height, width) as two views, as they are."""
        return Batch(images.unbind(1), parameters, rng.index)
