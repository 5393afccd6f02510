"""Pair strategy whose views share a lens and its substructure."""

from __future__ import annotations

from lenskit.plugin import PairStrategy


class SubstructureFixed(PairStrategy):
    """Two images of one lens with the same substructure; all else differs.

    Source, lens light, PSF and noise are sampled separately for each image. This is LenSiam's pair
    (https://openreview.net/forum?id=xww53DuKJO) for simulators with a group `substructure` in addition to the group
    `lens`. Both groups are shared, so the representation can keep the class of substructure. The pair strategy
    `lens-fixed` samples the class separately for each image.
    """

    draws = 2
    views = 2
    shared_groups = frozenset({"lens", "substructure"})
