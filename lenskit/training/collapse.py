"""Detection of a collapsed representation, which the loss does not show."""

from __future__ import annotations

from collections import deque
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import normalize

from lenskit.training.processes import gathered, processes


def projection_std(projection: Tensor) -> Tensor:
    """Return the standard deviation of the normalised projection, times sqrt(d).

    It is about 1 if the directions are spread evenly over the sphere, and 0 if all directions are the same (Chen & He
    2021, section 4.1, https://arxiv.org/abs/2011.10566).

    Args:
        projection: (n, d).

    Returns:
        A scalar.
    """
    unit = normalize(projection.float(), dim=1)
    return unit.std(dim=0, correction=0).mean() * projection.shape[1] ** 0.5


def effective_rank(embedding: Tensor) -> Tensor:
    """Return the effective rank RankMe (https://arxiv.org/abs/2210.02885).

    It is the exponential of the entropy of the normalised singular values. It cannot exceed min(n, d), so compare
    values only at the same sample size.

    Args:
        embedding: (n, d).

    Returns:
        A scalar from 1 to min(n, d).
    """
    # The singular values are the square roots of the eigenvalues of the smaller Gram matrix. This is several times
    # faster. It needs double precision, because the square of a small singular value underflows in single precision.
    x = embedding.double()
    product = x @ x.mT if len(x) < x.shape[1] else x.mT @ x
    values = torch.linalg.eigvalsh(product).clamp(min=0).sqrt()
    shares = values / values.sum().clamp(min=torch.finfo(values.dtype).tiny)
    return torch.special.entr(shares).sum().exp()


class CollapseMonitor:
    """Monitor that detects a collapse of the representation.

    It measures the spread of projections and the effective rank of the latest embeddings. A representation has
    collapsed if all projections have the same direction, or if the embeddings vary along a single line. The second test
    is needed because a batch norm without scale spreads the projections even if the embeddings lie on a line.

    Args:
        window: Number of latest embeddings from which the effective rank is computed.
        threshold: The projection has collapsed if its standard deviation times sqrt(d) is below this threshold.
        rank_threshold: The embedding has collapsed if its effective rank is below this threshold after the mean is
            subtracted.
        patience: Number of measurements in a row that must be below a threshold.
    """

    def __init__(
        self, window: int = 256, threshold: float = 0.1, rank_threshold: float = 1.5, patience: int = 3
    ) -> None:
        self.window, self.threshold, self.rank_threshold, self.patience = window, threshold, rank_threshold, patience
        self._latest: deque[Tensor] = deque()
        self._figures: dict[str, float] = {}
        self._low = self._flat = 0

    def add(self, embedding: Tensor) -> None:
        """Store the embeddings (n, d) of a batch."""
        self._latest.append(embedding.detach())
        while sum(map(len, self._latest)) - len(self._latest[0]) >= self.window / processes():
            self._latest.popleft()

    def measure(self, projection: Tensor | None, rank: bool = True) -> dict[str, float]:
        """Return collapse metrics over the lenses of all processes.

        Args:
            projection: Projections (n, d), if the method has them.
            rank: Whether to measure the effective rank too.

        Returns:
            `collapse_std` of the projection; for the latest embeddings `effective_rank`, `effective_rank_centred` (the
            effective rank after the mean is subtracted), and `effective_rank_samples` (their number).
        """
        figures: dict[str, float] = {}
        if projection is not None:
            figures["collapse_std"] = float(projection_std(gathered(projection)))
            self._low = self._low + 1 if figures["collapse_std"] < self.threshold else 0
        if rank and self._latest:
            # On the CPU, which finds the eigenvalues of such a small matrix faster than a GPU.
            device = self._latest[-1].device  # embeddings from a checkpoint are on the CPU
            embeddings = gathered(torch.cat([part.to(device, torch.float32) for part in self._latest])).cpu()
            figures["effective_rank"] = float(effective_rank(embeddings))
            figures["effective_rank_centred"] = float(effective_rank(embeddings - embeddings.mean(0)))
            figures["effective_rank_samples"] = len(embeddings)
            self._flat = self._flat + 1 if figures["effective_rank_centred"] < self.rank_threshold else 0
        self._figures |= figures
        return figures

    def state_dict(self) -> dict[str, Any]:
        """Return counts of low measurements, metrics and latest embeddings."""
        # Only the first process saves its state. With several processes, each has different embeddings: save none.
        latest = self._still_needed() if processes() == 1 else []
        return {
            "low": self._low,
            "flat": self._flat,
            "figures": dict(self._figures),
            # Copy, because torch.save writes the entire storage of a view.
            "latest": [part.to("cpu", torch.float32, copy=True) for part in latest],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._low, self._flat, self._figures = state["low"], state["flat"], dict(state["figures"])
        # If the run resumes with several processes, each of them would count these embeddings.
        self._latest = deque(state["latest"] if processes() == 1 else [])

    def _still_needed(self) -> list[Tensor]:
        """Return the latest batches that stay in the window when the next batch is added."""
        needed: list[Tensor] = []
        for part in reversed(self._latest):
            if sum(map(len, needed)) + len(part) >= self.window:
                break
            needed.insert(0, part)
        return needed

    @property
    def collapsed(self) -> str | None:
        """Message about a collapse; None if there is no collapse."""
        if self._low >= self.patience:
            return (
                "the representation has collapsed: std x sqrt(d) of the projection is "
                f"{self._figures['collapse_std']:.3f} (evenly spread is 1)"
            )
        if self._flat >= self.patience:
            return (
                "the representation has collapsed: the effective rank of the embeddings around their mean is "
                f"{self._figures['effective_rank_centred']:.2f} (a line is 1)"
            )
        return None
