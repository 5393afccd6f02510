"""Pair strategy whose views share a lens and its substructure."""

from __future__ import annotations

from lenskit.plugin import PairStrategy


class SubstructureFixed(PairStrategy):
    """Two images of one lens and its substructure; all else differs.

    Source, lens light, PSF and noise are drawn separately for each image. It is LenSiam's pair
    (https://openreview.net/forum?id=xww53DuKJO) for simulators that draw the group `substructure` separately from the
    group `lens`. Both groups are shared, so the representation can keep the class of substructure. The pair strategy
    `lens-fixed` draws another class for each image.
    """

    draws = 2
    views = 2
    shared_groups = frozenset({"lens", "substructure"})
