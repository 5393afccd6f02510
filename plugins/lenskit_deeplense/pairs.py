"""Pairs that share a lens with its substructure."""

from __future__ import annotations

from lenskit.plugin import PairStrategy


class SubstructureFixed(PairStrategy):
    """Two images of the same lens and the same substructure with another source, lens light, PSF and noise.

    It is LenSiam's pair (https://openreview.net/forum?id=xww53DuKJO) for simulators whose group `substructure` is drawn
    apart from the group `lens`: both groups are shared, so that a representation of the pair can keep the class of
    substructure, which `lens-fixed` draws anew for each image.
    """

    draws = 2
    views = 2
    shared = frozenset({"lens", "substructure"})
