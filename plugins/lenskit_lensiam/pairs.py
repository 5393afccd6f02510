"""LenSiam's lens-fixed pairs, and control pairs that share different parameters.

A network learns the information that both images of a pair share. A representation of source-fixed pairs should
describe the source and not the lens. A representation of instrument-only pairs should describe neither. Images are not
augmented, except for the rotations and reflections of `LensFixedDihedral`: a crop would change the Einstein radius,
which the network has to learn.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from torch import Tensor

from lenskit.plugin import Batch, KeyedGenerator, PairStrategy, Parameter
from lenskit_siamese.dihedral import Dihedral


class Renderings(PairStrategy):
    """Two unchanged renderings that share a group of parameters."""

    draws = 2
    views = 2


class LensFixed(Renderings):
    """Two images of the same lens with different sources, lens light, PSFs and noise.

    In LenSiam (https://openreview.net/forum?id=xww53DuKJO) the parameters of the lens's mass are the group `lens`. Both
    images share this group, and all other groups are sampled separately for each image. Images are not augmented: a
    crop would change the Einstein radius, which the network has to learn.
    """

    shared_groups = frozenset({"lens"})


class SourceFixed(Renderings):
    """Two images of the same source behind different lenses: a control experiment.

    Lens, lens light, PSF and noise differ. Both images share the group `source`: the source's shape and position. A
    simulator may place the source relative to the lens. `hst` does, and moves the source if the lens would not magnify
    it enough. The position of the source on the sky is then not shared.
    """

    shared_groups = frozenset({"source"})


class InstrumentOnly(Renderings):
    """Two images that share only the instrument: a control experiment.

    Both images share the group `instrument`. For `hst` it holds the PSF, the noise level and the level of a background
    gradient. Lens, source and lens light are sampled separately for each image. Pixel noise and cosmic rays are not
    parameters and differ between the images: otherwise a network would only learn to recognize the noise pattern.
    """

    shared_groups = frozenset({"instrument"})


class LensFixedDihedral(LensFixed):
    """Two images of the same lens, rotated by multiples of 90 degrees and mirrored.

    With `alike` (the default) both images still show the same lens, and each stored lens gives eight orientations. With
    `independently` the images share the lens except for its orientation. The network then learns theta_E, gamma and
    |e|, but not the directions of the ellipticity, shear and centre. The recorded parameters are transformed with the
    image. The strategy `lens-fixed+dihedral` does the same with different defaults; see `dihedral`.

    Args:
        turn: Whether the images are rotated: both by the same multiple of 90 degrees, independently, or not at all.
        mirror: Whether the images are mirrored: both or neither, independently, or not at all.
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
        """Return the two renderings (n, 2, channels, height, width), rotated and mirrored."""
        return super().__call__(*self.dihedral.transform(images, parameters, rng), rng)
