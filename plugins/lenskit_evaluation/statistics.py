"""Statistics of record: figures of a representation that need no labels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from lenskit.evaluation import (
    Embeddings,
    Encoder,
    Run,
    alignment,
    effective_rank,
    held_out,
    projection_std,
    training_set_of,
    uniformity,
)
from lenskit.plugin import LenskitError

MOST = 10_000
"""Lenses that the figures are taken of, at most: more say the same, but take memory."""

COMPARED = 1000
"""Lenses whose features are compared with each other, at most: uniformity takes all their pairs."""


@dataclass(frozen=True)
class Statistics:
    """Figures of features; NaN where there is nothing to take one from.

    Attributes:
        n: Images, each of another lens, of which the effective rank and the spread are taken.
        features: Their number d.
        effective_rank: RankMe of the features as they are, from 1 to min(n, d) (Garrido et al. 2023,
            https://arxiv.org/abs/2210.02885). It means something only together with n.
        effective_rank_centred: The same after their mean is subtracted, which the first figure hides behind.
        std: Standard deviation of the L2-normalised features, times sqrt(d): 1 for directions spread evenly, 0 when all
            are the same (Chen & He 2021, section 4.1, https://arxiv.org/abs/2011.10566).
        pairs: Lenses of which there are two views, for alignment.
        alignment: Mean squared distance of the unit features of two views of a lens, from 0, where they agree, to 4; 2
            for unrelated ones (Wang & Isola 2020, section 4.1, https://arxiv.org/abs/2005.10242).
        uniformity: Logarithm of the mean Gaussian potential of the unit features of different lenses: 0 where all are
            the same, the lower the more evenly they are spread, about -4 at best (same place, t = 2).
    """

    n: int
    features: int
    effective_rank: float
    effective_rank_centred: float
    std: float
    pairs: int
    alignment: float
    uniformity: float

    def row(self) -> Mapping[str, Any]:
        """The figures for a table of people."""
        return {
            "effective rank": f"{self.effective_rank:.1f} of {self.features} (n {self.n})",
            "centred": f"{self.effective_rank_centred:.1f}",
            "std x sqrt(d)": f"{self.std:.3f}",
            "alignment": "-" if np.isnan(self.alignment) else f"{self.alignment:.3f} (pairs {self.pairs})",
            "uniformity": f"{self.uniformity:.3f}",
        }


def statistics(features: ArrayLike, views: tuple[ArrayLike, ArrayLike] | None = None) -> Statistics:
    """The figures of features.

    Args:
        features: (n, d), a row a lens; of more than `MOST` some are drawn by lot, which `n` says.
        views: (m, d) twice: features of two views of each of m lenses, row by row. Uniformity is that of the first; of
            `features` where there are none.

    Raises:
        LenskitError: if there are fewer than two rows, or features that are not finite.
    """
    x = _tensor(_some(features, MOST))
    first, second = (_tensor(_some(view, MOST)) for view in views) if views is not None else (x, None)
    if len(x) < 2 or len(first) < 2:
        raise LenskitError(f"statistics of features need two lenses at least, got {min(len(x), len(first))}")
    return Statistics(
        n=len(x),
        features=x.shape[1],
        effective_rank=float(effective_rank(x)),
        effective_rank_centred=float(effective_rank(x - x.mean(0))),
        std=float(projection_std(x)),
        pairs=0 if second is None else len(second),
        alignment=np.nan if second is None else float(alignment(first, second)),
        uniformity=float(uniformity(_tensor(_some(first, COMPARED)))),
    )


def statistics_of(subject: Run | Embeddings, *, lenses: int = 1000, encoder: Encoder | None = None) -> Statistics:
    """The figures of a run's features, or of embeddings.

    Of a run: of lenses that training never sees (see `held_out`; without a simulator they are stored ones), and of two
    views of the first 256 of them as the run's own pairs make them: so alignment says how well the run does what it
    was trained to do, and compares runs of the same pairs only. Where views are of another size there is none.
    Of embeddings: one image of each lens, and where `lens` says that a lens has several, the first two as its views.

    Args:
        subject: What is looked at.
        lenses: Lenses of a run.
        encoder: Another encoder than the run's, such as one that was never trained, on the run's lenses and views.
    """
    if isinstance(subject, Embeddings):
        return statistics_of_rows(subject.features, subject.lens)
    encoder = subject.encoder() if encoder is None else encoder
    where = next(encoder.parameters()).device
    training_set = training_set_of(subject.config)
    training_set.resize(encoder.preprocess.size)
    try:
        batch = held_out(training_set, lenses, where)
    finally:
        training_set.close()
    features, *views = (_embed(encoder, images) for images in (batch.images, *batch.views))
    return statistics(features, (views[0], views[1]) if views else None)


def statistics_of_rows(features: ArrayLike, lens: NDArray[Any]) -> Statistics:
    """The figures of features (n, d) of images, of which `lens` (n,) says what each shows: the first image of each lens
    is its row, and the first two are its views."""
    x = np.asarray(features)
    order = np.argsort(lens, kind="stable")
    ordered = np.asarray(lens)[order]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
    twice = starts[np.diff(np.r_[starts, len(ordered)]) > 1]
    views = (x[order[twice]], x[order[twice + 1]]) if len(twice) > 1 else None
    return statistics(x[np.sort(order[starts])], views)


@torch.inference_mode()
def _embed(encoder: Encoder, images: Tensor, chunk: int = 256) -> Tensor:
    """Features of images that are stretched and resized already."""
    encoder.eval()
    device = next(encoder.parameters()).device
    return torch.cat([encoder.backbone(part.to(device)).float().cpu() for part in images.split(chunk)])


def _some(rows: ArrayLike, most: int) -> NDArray[Any]:
    """So many rows at most, drawn by lot, for files are often sorted."""
    x = np.asarray(rows)
    return x if len(x) <= most else x[np.random.default_rng(0).permutation(len(x))[:most]]


def _tensor(features: ArrayLike | Tensor) -> Tensor:
    x = torch.from_numpy(np.array(features, np.float32))
    if not x.isfinite().all():
        raise LenskitError("some features are not finite: the encoder is broken, or was given such images")
    return x
