"""What the processes of a run share: a loss that compares lenses compares those of the whole batch."""

from __future__ import annotations

import torch
from lightly.utils import dist
from torch import Tensor


def gather(rows: Tensor) -> Tensor:
    """The rows of all processes, with gradients: (n, d) of each to (processes x n, d), in the order of the batch.

    Lens i of a batch belongs to process i mod (number of processes), and all have equally many.

    The gradient that comes back is the sum of those of all processes' losses. Lightning and torch then take the mean
    of the processes' gradients, so that a loss that every process computes of the whole batch, or the mean of one
    that each computes of its own lenses, has the gradient it would have in a single process.
    """
    if dist.world_size() == 1:
        return rows
    return torch.stack(dist.gather(rows), 1).flatten(0, 1)


def places(n: int, device: torch.device) -> Tensor:
    """Where this process's n rows stand among those gathered: (n,) int64."""
    return torch.arange(n, device=device) * dist.world_size() + dist.rank()
