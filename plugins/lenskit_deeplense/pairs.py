"""Pairs that share a lens with its substructure."""

from __future__ import annotations

from lenskit.plugin import PairStrategy


class SubstructureFixed(PairStrategy):
    """Two images of the same lens and the same substructure with another source, lens light, PSF and noise.

    It is LenSiam's pair (https://openreview.net/forum?id=xww53DuKJO) for simulators whose group `substructure` is drawn
    apart from the group `lens`. Both groups are shared, so the representation can keep the class of substructure. The
    pair `lens-fixed` draws another class for each image.
    """

    draws = 2
    views = 2
    shared_groups = frozenset({"lens", "substructure"})
