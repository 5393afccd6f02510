"""Communication between the processes of one run."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.distributed as dist
from pytorch_lightning.utilities.rank_zero import rank_zero_only
from torch import Tensor, nn

from lenskit.errors import LenskitError

log = logging.getLogger("lenskit")

_LOST = re.compile(r"connection (closed|reset|refused)|broken pipe|socket|store|nccl|gloo|timed out", re.IGNORECASE)
"""Errors of the backends of torch.distributed when another process has ended."""


def is_first() -> bool:
    """Whether this is the first process of a run. Works before a Trainer exists."""
    return getattr(rank_zero_only, "rank", None) in (0, None)


def let_first_speak() -> None:
    """Hide log lines below the level of warnings in all processes but the first."""
    if not is_first():
        log.setLevel(logging.WARNING)


def processes() -> int:
    """Return the number of processes that train together."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def gathered(tensor: Tensor) -> Tensor:
    """Return the rows of all processes.

    Args:
        tensor: (n, ...), with the same shape in each process.

    Returns:
        (n * processes, ...), without gradients.
    """
    if processes() == 1:
        return tensor
    parts = [torch.empty_like(tensor, memory_format=torch.contiguous_format) for _ in range(processes())]
    dist.all_gather(parts, tensor.detach().contiguous())
    return torch.cat(parts)


def largest(tensor: Tensor) -> Tensor:
    """Return the largest value over all processes, for each element."""
    if processes() == 1:
        return tensor
    tensor = tensor.detach().clone()
    dist.all_reduce(tensor, dist.ReduceOp.MAX)
    return tensor


def mean(tensor: Tensor) -> Tensor:
    """Return the mean over all processes, for each element."""
    if processes() == 1:
        return tensor
    tensor = tensor.detach().clone()
    dist.all_reduce(tensor, dist.ReduceOp.SUM)
    return tensor / processes()


@contextmanager
def explained(module: nn.Module) -> Iterator[None]:
    """Replace torch's long errors of distributed training by one line.

    Args:
        module: Module that the processes train.

    Raises:
        LenskitError: Weights without a gradient, which the message names; or another process has ended.
    """
    try:
        yield
    except RuntimeError as error:
        text = str(error)
        if "not used in producing the loss" in text or "finished reduction in the prior iteration" in text:
            raise LenskitError(
                f"{_without_gradient(module)} got no gradient, which several processes do not allow by default: use "
                "--strategy ddp_find_unused_parameters_true (or set `unused_parameters = True` in the method)"
            ) from None
        if processes() > 1 and _LOST.search(text):
            raise LenskitError(f"another process of this run has ended; see its error message ({text[:80]})") from None
        raise


def _without_gradient(module: nn.Module) -> str:
    """Return the names of up to three weights without a gradient, for a message."""
    names = [name for name, weight in module.named_parameters() if weight.requires_grad and weight.grad is None]
    return f"{', '.join(names[:3])}{' and others' if len(names) > 3 else ''}" if names else "some weights"
