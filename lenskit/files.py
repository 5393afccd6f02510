"""Atomic writing of files: a file is either complete or absent."""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

PART = re.compile(r"(?P<name>.+)\.[0-9a-f]{8}\.part")
"""Name of a partial file, `NAME.1a2b3c4d.part`. A command is writing the file, or was killed."""


def is_part(name: str) -> str | None:
    """Return the name of the final file of a partial file, or None for any other file."""
    match = PART.fullmatch(name)
    return match["name"] if match else None


def part_of(path: Path) -> Path:
    """Return the path of a new partial file, in the folder of the final file.

    Older partial files of the same file, which killed commands left behind, are removed.
    """
    sweep_parts(path)
    return path.with_name(f"{path.name}.{secrets.token_hex(4)}.part")


def sweep_parts(path: Path) -> None:
    """Remove partial files of a file, which killed commands left behind."""
    for entry in os.scandir(path.parent):
        if is_part(entry.name) == path.name:
            Path(entry.path).unlink(missing_ok=True)


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Add a file's path to an `OSError` raised in the context that names no file.

    Raises:
        OSError: The error with the path. An error that names a file is not changed.
    """
    try:
        yield
    except OSError as error:
        if error.filename is None and error.errno is not None:
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise


def write_atomically(path: Path, content: str | bytes | memoryview | Callable[[IO[bytes]], object]) -> None:
    """Write a file atomically.

    A reader finds either the old content or the new content, even if the process is killed. The content is written
    to a partial file, which then replaces the file.

    Args:
        path: The file.
        content: Its text or bytes, or a function that writes it to an open binary file.

    Raises:
        OSError: The file cannot be written. The error names the file.
    """
    temporary = part_of(path)
    try:
        with naming(path), temporary.open("xb") as file:
            if callable(content):
                content(file)
            else:
                # A text may contain the name of a file, which need not be valid UTF-8.
                file.write(content.encode(errors="backslashreplace") if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
