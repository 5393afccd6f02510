"""Features of the entire batch, collected from all processes.

Losses that compare lenses need them.
"""

from __future__ import annotations

import torch
from lightly.utils import dist
from torch import Tensor


def gather(rows: Tensor) -> Tensor:
    """Return the rows of all processes, with gradients.

    Lens i of a batch belongs to process i mod (number of processes). All processes have the same number of lenses.

    The gradient of `rows` is the sum of the gradients of the losses of all processes. Lightning and torch then take the
    mean of the gradients over the processes. So the gradient equals the gradient of a single process in two cases:
    every process computes the loss of the entire batch, or each computes the mean loss of its own lenses.

    Args:
        rows: Rows of this process, (n, d).

    Returns:
        (processes x n, d), in the order of the batch.
    """
    if dist.world_size() == 1:
        return rows
    return torch.stack(dist.gather(rows), 1).flatten(0, 1)


def places(n: int, device: torch.device) -> Tensor:
    """Return the indices of this process's n rows in the gathered rows: (n,) int64."""
    return torch.arange(n, device=device) * dist.world_size() + dist.rank()
