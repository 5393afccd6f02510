"""Memory allocation of the process."""

from __future__ import annotations

import torch


def keep_freed_memory() -> None:
    """Make the C library keep up to 64 MB of freed memory for later allocations.

    glibc returns freed blocks above a threshold to the system. It raises the threshold, to 32 MB at most, when a block
    of that size is freed. This function allocates and frees such a block. Without this, each batch causes thousands of
    page faults, which take up to two thirds of the time on a busy machine.
    """
    torch.empty((32 << 20) - (1 << 16), dtype=torch.uint8)
