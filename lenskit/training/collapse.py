"""Notices when a representation collapses, which a loss does not tell: it looks perfect then."""

from __future__ import annotations

from collections import deque
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import normalize

from lenskit.training.processes import gathered, processes


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

    Collapsed is a projection whose directions are all the same, and an embedding that varies along a line: a batch norm
    without scale keeps such a projection spread.

    Args:
        window: Number of latest embeddings that the effective rank is taken from.
        threshold: Collapsed is a projection whose standard deviation times sqrt(d) is below this.
        rank_threshold: And an embedding whose effective rank, after its mean is subtracted, is below this.
        patience: For so many measurements in a row.
    """

    def __init__(
        self, window: int = 256, threshold: float = 0.1, rank_threshold: float = 1.5, patience: int = 3
    ) -> None:
        self.window, self.threshold, self.rank_threshold, self.patience = window, threshold, rank_threshold, patience
        self._latest: deque[Tensor] = deque()
        self._figures: dict[str, float] = {}
        self._low = self._flat = 0

    def add(self, embedding: Tensor) -> None:
        """Remembers a batch's embeddings (n, d)."""
        self._latest.append(embedding.detach())
        while sum(map(len, self._latest)) - len(self._latest[0]) >= self.window / processes():
            self._latest.popleft()

    def measure(self, projection: Tensor | None, rank: bool = True) -> dict[str, float]:
        """The figures of now, of the lenses of all processes.

        Args:
            projection: (n, d), of a method that projects.
            rank: Whether the effective rank is measured, too.

        Returns:
            `collapse_std` of the projection; `effective_rank` of the latest embeddings as they are,
            `effective_rank_centred` after their mean is subtracted, and `effective_rank_samples`, their number.
        """
        figures: dict[str, float] = {}
        if projection is not None:
            figures["collapse_std"] = float(projection_std(gathered(projection)))
            self._low = self._low + 1 if figures["collapse_std"] < self.threshold else 0
        if rank and self._latest:
            # On the CPU, which is quicker with eigenvalues of so small a matrix.
            device = self._latest[-1].device  # those of before a resumption are on the CPU
            embeddings = gathered(torch.cat([part.to(device, torch.float32) for part in self._latest])).cpu()
            figures["effective_rank"] = float(effective_rank(embeddings))
            figures["effective_rank_centred"] = float(effective_rank(embeddings - embeddings.mean(0)))
            figures["effective_rank_samples"] = len(embeddings)
            self._flat = self._flat + 1 if figures["effective_rank_centred"] < self.rank_threshold else 0
        self._figures |= figures
        return figures

    def state_dict(self) -> dict[str, Any]:
        """What a resumed run goes on from: how often the figures were low, and the latest embeddings."""
        # Of several processes only the first one's state is saved, so it holds only what all of them have in common.
        latest = self._still_needed() if processes() == 1 else []
        return {
            "low": self._low,
            "flat": self._flat,
            "figures": dict(self._figures),
            # Copied: a part of a larger tensor would be saved together with all of that.
            "latest": [part.to("cpu", torch.float32, copy=True) for part in latest],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._low, self._flat, self._figures = state["low"], state["flat"], dict(state["figures"])
        # Several processes that now go on with it would each count them.
        self._latest = deque(state["latest"] if processes() == 1 else [])

    def _still_needed(self) -> list[Tensor]:
        """The latest batches, fewer than `window` embeddings, that one more of the same size will not push out."""
        needed: list[Tensor] = []
        for part in reversed(self._latest):
            if sum(map(len, needed)) + len(part) >= self.window:
                break
            needed.insert(0, part)
        return needed

    @property
    def collapsed(self) -> str | None:
        """What has collapsed, in words."""
        if self._low >= self.patience:
            return (
                "the representation has collapsed: std x sqrt(d) of the projection is "
                f"{self._figures['collapse_std']:.3f} (evenly spread is 1)"
            )
        if self._flat >= self.patience:
            return (
                "the representation has collapsed: the effective rank of the embeddings about their mean is "
                f"{self._figures['effective_rank_centred']:.2f} (a line is 1)"
            )
        return None
