"""Memory of the process."""

from __future__ import annotations

import torch


def keep_freed_memory() -> None:
    """Lets the C library keep up to 64 MB of what is freed, instead of getting it from the system again.

    glibc raises the size from which it does not when it frees something that large, to 32 MB at most. Without this a
    batch's passes cost thousands of page faults, up to two thirds of the time on a busy machine.
    """
    torch.empty((32 << 20) - (1 << 16), dtype=torch.uint8)
