"""Limit on the memory of data that are larger than their file.

A small compressed file, or a header that states more data than the file has, can demand more memory than any machine
has. Data that are not larger than their file are always read.
"""

from __future__ import annotations

import os
from pathlib import Path

from lenskit.errors import LenskitError, UsageError

VARIABLE = "LENSKIT_MAX_BYTES"
"""Environment variable that sets the limit."""

MAX_BYTES = 2**32
"""Default limit: 4 GiB, an image of 32768 x 32768 pixels in float32."""


def max_bytes() -> int:
    """Return the limit in bytes.

    Raises:
        UsageError: The environment variable is not a positive integer.
    """
    text = os.environ.get(VARIABLE, "")
    if text and not (text.isascii() and text.isdecimal() and int(text)):
        raise UsageError(f"{VARIABLE} must be a positive number of bytes, such as {MAX_BYTES}, not {text!r}")
    return int(text or MAX_BYTES)


def allowed_bytes(file: Path | str) -> int:
    """Return the maximum size of a file's data in memory, in bytes.

    It is the limit, or the size of the file if the file is larger.
    """
    return max(max_bytes(), os.path.getsize(file) if os.path.isfile(file) else 0)


def check_bytes(file: Path | str, size: int, part: str = "") -> None:
    """Check the size of a part of a file before it is read.

    Args:
        file: The file.
        size: Size in memory in bytes.
        part: Name of the part for the message, such as a data set; empty for the entire file.

    Raises:
        LenskitError: The part is larger than `allowed_bytes`.
    """
    if size > max_bytes() and size > allowed_bytes(file):
        raise LenskitError(
            f"{file}{f': {part}' if part else ''} takes {size} bytes in memory, more than the limit of "
            f"{max_bytes()}; if the file can be trusted, set the environment variable {VARIABLE}={size}"
        )
