"""Notices when a representation collapses, which a loss does not tell: it looks perfect then."""

from __future__ import annotations

from collections import deque

import torch
from torch import Tensor
from torch.nn.functional import normalize


def projection_std(projection: Tensor) -> Tensor:
    """Standard deviation of the normalised projection, times sqrt(d).

    About 1 for directions spread evenly over the sphere, 0 when all are the same (Chen & He 2021, section 4.1,
    https://arxiv.org/abs/2011.10566).

    Args:
        projection: (n, d).

    Returns:
        A scalar.
    """
    unit = normalize(projection.float(), dim=1)
    return unit.std(dim=0, correction=0).mean() * projection.shape[1] ** 0.5


def effective_rank(embedding: Tensor) -> Tensor:
    """RankMe: the exponential of the entropy of the normalised singular values (https://arxiv.org/abs/2210.02885).

    At most min(n, d): a figure means something only together with its sample size.

    Args:
        embedding: (n, d).

    Returns:
        A scalar from 1 to min(n, d).
    """
    # The singular values are the roots of the eigenvalues of the smaller product, which is several times faster; in
    # double precision, because the square of a small one is lost in single.
    x = embedding.double()
    product = x @ x.mT if len(x) < x.shape[1] else x.mT @ x
    values = torch.linalg.eigvalsh(product).clamp(min=0).sqrt()
    shares = values / values.sum().clamp(min=torch.finfo(values.dtype).tiny)
    return torch.special.entr(shares).sum().exp()


class CollapseMonitor:
    """Follows both figures over the latest batches and says when the representation has collapsed.

    Args:
        window: Number of latest embeddings that the effective rank is taken from.
        threshold: Collapsed is a projection whose standard deviation times sqrt(d) is below this.
        patience: For so many measurements in a row.
    """

    def __init__(self, window: int = 512, threshold: float = 0.1, patience: int = 3) -> None:
        self.window, self.threshold, self.patience = window, threshold, patience
        self._latest: deque[Tensor] = deque()
        self._low = 0

    def add(self, embedding: Tensor) -> None:
        """Remembers a batch's embeddings (n, d)."""
        self._latest.append(embedding.detach())
        while sum(map(len, self._latest)) - len(self._latest[0]) >= self.window:
            self._latest.popleft()

    def measure(self, projection: Tensor | None) -> dict[str, float]:
        """The figures of now; `collapse_std` only where the method projects."""
        figures: dict[str, float] = {}
        if projection is not None:
            figures["collapse_std"] = float(projection_std(projection))
            self._low = self._low + 1 if figures["collapse_std"] < self.threshold else 0
        if self._latest:
            embeddings = torch.cat(tuple(self._latest))
            figures["effective_rank"] = float(effective_rank(embeddings))
            figures["effective_rank_samples"] = len(embeddings)
        return figures

    @property
    def collapsed(self) -> bool:
        return self._low >= self.patience
