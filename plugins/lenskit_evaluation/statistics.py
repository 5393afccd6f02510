"""Statistics of features that need no labels.

The statistics are effective rank, standard deviation, alignment and uniformity.
"""

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
"""Maximum number of lenses; more would need more memory and hardly change the statistics."""

COMPARED = 1000
"""Maximum number of lenses for the uniformity, which needs the distances between all pairs of lenses."""


@dataclass(frozen=True)
class Statistics:
    """Statistics of features; undefined statistics are NaN.

    Attributes:
        n: Number of images, each of a different lens, for the effective rank and the standard deviation.
        features: Number of features d.
        effective_rank: RankMe of the features without centring, from 1 to min(n, d) (Garrido et al. 2023,
            https://arxiv.org/abs/2210.02885). It depends on n: compare effective ranks only for equal n.
        effective_rank_centred: RankMe of the features minus their mean. A large mean lowers `effective_rank`, but not
            this rank.
        std: Standard deviation of the L2-normalised features, times sqrt(d): 1 for evenly distributed directions, 0 if
            all directions are the same (Chen & He 2021, section 4.1, https://arxiv.org/abs/2011.10566).
        pairs: Number of lenses with two views, for the alignment.
        alignment: Mean squared distance between the L2-normalised features of two views of a lens: 0 if they are equal,
            2 if they are unrelated, at most 4 (Wang & Isola 2020, section 4.1, https://arxiv.org/abs/2005.10242).
        uniformity: Logarithm of the mean Gaussian potential (t = 2) between the L2-normalised features of different
            lenses (Wang & Isola 2020, section 4.1): 0 if all features are the same, lower for more evenly distributed
            features, about -4 at best.
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
        """Return the statistics as formatted cells of a table row."""
        return {
            "effective rank": f"{self.effective_rank:.1f} of {self.features} (n {self.n})",
            "centred": f"{self.effective_rank_centred:.1f}",
            "std x sqrt(d)": f"{self.std:.3f}",
            "alignment": "-" if np.isnan(self.alignment) else f"{self.alignment:.3f} (pairs {self.pairs})",
            "uniformity": f"{self.uniformity:.3f}",
        }


def statistics(features: ArrayLike, views: tuple[ArrayLike, ArrayLike] | None = None) -> Statistics:
    """Compute the statistics of features.

    Args:
        features: (n, d), one row per lens; if there are more than `MOST` rows, `MOST` rows are chosen at random.
        views: Two arrays (m, d), the features of the first and of the second view of m lenses. The uniformity is
            computed from the first view, or from `features` if there are no views.

    Raises:
        LenskitError: There are fewer than two rows, or a feature is not finite.
    """
    x = _tensor(_some(features, MOST))
    first, second = (_tensor(_some(view, MOST)) for view in views) if views is not None else (x, None)
    if len(x) < 2 or len(first) < 2:
        raise LenskitError(f"statistics of features need at least two lenses, got {min(len(x), len(first))}")
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
    """Compute the statistics of the features of a run, or of embeddings.

    For a run, the lenses are held out from training (see `held_out`; stored lenses if the run has no simulator). The
    views are two images of each of the first 256 lenses, from the pair strategy of the run. The alignment therefore
    measures the training goal of the run: compare alignments only between runs with the same pair strategy. Alignment
    is not defined if views and images differ in size.

    For embeddings, the first image of each lens is used. If there are several images of a lens, the first two are the
    views.

    Args:
        subject: Run or embeddings.
        lenses: Number of lenses for a run.
        encoder: Encoder to use instead of the run's, for example an untrained encoder, on the lenses and views of the
            run.
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
    """Compute the statistics of features (n, d) with lens numbers `lens` (n,).

    The row of a lens is the first image; the views are the first two images.
    """
    x = np.asarray(features)
    order = np.argsort(lens, kind="stable")
    ordered = np.asarray(lens)[order]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
    twice = starts[np.diff(np.r_[starts, len(ordered)]) > 1]
    views = (x[order[twice]], x[order[twice + 1]]) if len(twice) > 1 else None
    return statistics(x[np.sort(order[starts])], views)


@torch.inference_mode()
def _embed(encoder: Encoder, images: Tensor, chunk: int = 256) -> Tensor:
    """Return the features (n, d) of images that are already preprocessed."""
    encoder.eval()
    device = next(encoder.parameters()).device
    return torch.cat([encoder.backbone(part.to(device)).float().cpu() for part in images.split(chunk)])


def _some(rows: ArrayLike, most: int) -> NDArray[Any]:
    """Return at most `most` rows, chosen at random because files are often sorted."""
    x = np.asarray(rows)
    return x if len(x) <= most else x[np.random.default_rng(0).permutation(len(x))[:most]]


def _tensor(features: ArrayLike | Tensor) -> Tensor:
    x = torch.from_numpy(np.array(features, np.float32))
    if not x.isfinite().all():
        raise LenskitError("some features are not finite: the encoder is broken, or some pixels are not finite")
    return x
