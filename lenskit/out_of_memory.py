"""Recognition of errors that report a lack of memory."""

from __future__ import annotations

import math
import re

SIGNS = (
    "out of memory",
    "can't allocate memory",
    "bad_alloc",
    "Cannot allocate memory",
    "failed to allocate",
    "Storage size calculation overflowed",
)
"""Texts in memory errors that are a plain RuntimeError: from cuBLAS, oneDNN and the allocator, or about a tensor whose
size in bytes exceeds 64 bits."""

TOO_BIG = ("array is too big", "Maximum allowed dimension exceeded")
"""Texts in numpy's errors about arrays whose size exceeds 64 bits."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error reports a lack of memory, on the CPU or another device."""
    import torch  # heavy, and needed only after an error
    from pytorch_lightning.utilities.memory import is_oom_error

    if isinstance(error, MemoryError | torch.OutOfMemoryError) or is_oom_error(error):
        return True
    signs = SIGNS if isinstance(error, RuntimeError) else TOO_BIG if isinstance(error, ValueError) else ()
    return any(sign in str(error) for sign in signs)


def asked_for(error: BaseException) -> str:
    """Return the amount of memory that an allocation requested.

    The form is ` (4.4 TB at once)`. The text is empty if the error does not give the amount.
    """
    match = re.search(r"allocate ([\d.]+) ?(bytes|[KMGTPE]i?B)", str(error))
    if not match:
        return ""
    size, unit = float(match[1]), match[2]
    power = 0 if unit == "bytes" else "KMGTPE".index(unit[0]) + 1
    size *= (1024 if "i" in unit else 1000) ** power
    power = min(int(math.log10(max(size, 1)) // 3), 6)
    return f" ({size / 1000**power:.3g} {('', 'k', 'M', 'G', 'T', 'P', 'E')[power]}B at once)"
