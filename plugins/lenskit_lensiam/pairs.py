"""LenSiam's pair, two images of one lens; and pairs that share something else, which are its control experiments.

What a pair shares is what is learned: a representation of source-fixed pairs should tell of the source and not of the
lens, and one of instrument-only pairs of neither. None of them does anything to the images, for a crop would change
the Einstein radius, which is to be learned.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from torch import Tensor

from lenskit.plugin import Batch, KeyedGenerator, PairStrategy, Parameter
from lenskit_siamese.dihedral import Dihedral


class Renderings(PairStrategy):
    """Two renderings that share a group of parameters, as they are."""

    draws = 2
    views = 2


class LensFixed(Renderings):
    """Two images of the same lens with another source, lens light, PSF and noise.

    In LenSiam (https://openreview.net/forum?id=xww53DuKJO) the parameters of the lens's mass are the group `lens`,
    which both images share; every other group is drawn anew. Nothing is done to the images, for a crop would change
    the Einstein radius, which is to be learned.
    """

    shared_groups = frozenset({"lens"})


class SourceFixed(Renderings):
    """Two images of the same source behind another lens, with another lens light, PSF and noise: a control experiment.

    Both images share the group `source`: how the source looks, and where it lies. A simulator may place it relative
    to the lens (`hst` does, and moves it where this lens would not magnify it enough); its position on the sky is
    then not shared.
    """

    shared_groups = frozenset({"source"})


class InstrumentOnly(Renderings):
    """Two images through the same instrument and of nothing else in common: a control experiment.

    Both images share the group `instrument`: of `hst` the PSF, the level of the noise and of a gradient. Pixel noise
    is no parameter: every rendering has its own (as it has its own cosmic rays), because the same noise twice would be
    a fingerprint, and all that is learned. Lens, source and lens light are drawn anew.
    """

    shared_groups = frozenset({"instrument"})


class LensFixedDihedral(LensFixed):
    """Two images of the same lens, turned by quarters and mirrored.

    Alike, which is the default, both still show one lens: there are eight lenses for each that is stored.
    Independently, they share the lens but for the way it lies: theta_E, gamma and |e| are learned, the directions of
    the ellipticity, of the shear and of the centre are not. The recorded parameters turn with the image; see
    `dihedral`: `lens-fixed+dihedral` is the same with other defaults.

    Args:
        turn: Whether both are turned, and then alike or each on its own.
        mirror: Whether both are mirrored, likewise.
    """

    def __init__(
        self,
        *,
        turn: Literal["alike", "independently", "no"] = "alike",
        mirror: Literal["alike", "independently", "no"] = "alike",
    ) -> None:
        self.dihedral = Dihedral(turn=turn, mirror=mirror)

    def prepare(self, parameters: Sequence[Parameter], image_shape: tuple[int, int, int]) -> None:
        super().prepare(parameters, image_shape)
        self.dihedral.prepare(parameters, image_shape)

    def __call__(self, images: Tensor, parameters: dict[str, Tensor], rng: KeyedGenerator) -> Batch:
        """The two renderings (n, 2, channels, height, width), turned and mirrored."""
        return super().__call__(*self.dihedral.transform(images, parameters, rng), rng)
