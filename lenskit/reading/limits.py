"""A limit on what a small file may become in memory.

A compressed file, or a header that announces more than there is, can ask for more memory than any machine has. A part
that is no larger than its file is never refused.
"""

from __future__ import annotations

import os
from pathlib import Path

from lenskit.errors import LenskitError, UsageError

VARIABLE = "LENSKIT_MAX_BYTES"
"""Environment variable that sets the limit."""

MAX_BYTES = 2**32
"""The limit unless the variable sets another: 4 GiB, an image of 32768 x 32768 pixels in float32."""


def max_bytes() -> int:
    """Return the limit in bytes.

    Raises:
        UsageError: if the environment variable is not a positive whole number.
    """
    text = os.environ.get(VARIABLE, "")
    if text and not (text.isascii() and text.isdecimal() and int(text)):
        raise UsageError(f"{VARIABLE} is a positive number of bytes, such as {MAX_BYTES}, not {text!r}")
    return int(text or MAX_BYTES)


def allowed_bytes(file: Path | str) -> int:
    """Return how many bytes a file may become: the limit, or the size of the file itself if that is larger."""
    return max(max_bytes(), os.path.getsize(file) if os.path.isfile(file) else 0)


def check_bytes(file: Path | str, size: int, part: str = "") -> None:
    """Check that a part of a file which is about to be read is not too large.

    Args:
        file: The file.
        size: Bytes in memory.
        part: Name of the part for the message, such as a data set; all of the file if empty.

    Raises:
        LenskitError: if it is larger than `allowed_bytes`.
    """
    if size > max_bytes() and size > allowed_bytes(file):
        raise LenskitError(
            f"{file}{f': {part}' if part else ''} takes {size} bytes in memory, more than the limit of "
            f"{max_bytes()}; if the file can be trusted, set the environment variable {VARIABLE}={size}"
        )
