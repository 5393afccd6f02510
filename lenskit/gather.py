"""Features of the whole batch, for losses that compare lenses, where several processes share it."""

from __future__ import annotations

import torch
from lightly.utils import dist
from torch import Tensor


def gather(rows: Tensor) -> Tensor:
    """Return the rows of all processes with gradients: (n, d) of each as (processes x n, d), in the order of the batch.

    Lens i of a batch belongs to process i mod (number of processes), and all have equally many.

    The gradient that comes back is the sum of those of all processes' losses. Lightning and torch then take the mean
    of the processes' gradients, so that a loss that every process computes of the whole batch, or the mean of one
    that each computes of its own lenses, has the gradient it would have in a single process.
    """
    if dist.world_size() == 1:
        return rows
    return torch.stack(dist.gather(rows), 1).flatten(0, 1)


def places(n: int, device: torch.device) -> Tensor:
    """Return the places of this process's n rows among those gathered: (n,) int64."""
    return torch.arange(n, device=device) * dist.world_size() + dist.rank()
