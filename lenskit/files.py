"""Files that are whole whenever they are there."""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

PART = re.compile(r"(?P<name>.+)\.[0-9a-f]{8}\.part")
"""The name of a file that is being written, or was when its command was killed."""


def is_part(name: str) -> str | None:
    """The name of the file that a part is of, if it is one."""
    match = PART.fullmatch(name)
    return match["name"] if match else None


def part_of(path: Path) -> Path:
    """A free name beside a file, for its new content. What killed commands left there of the same file is removed."""
    sweep_parts(path)
    return path.with_name(f"{path.name}.{secrets.token_hex(4)}.part")


def sweep_parts(path: Path) -> None:
    """Removes what killed commands left beside a file that they were writing."""
    for entry in os.scandir(path.parent):
        if is_part(entry.name) == path.name:
            Path(entry.path).unlink(missing_ok=True)


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Has whatever cannot be written here name a file.

    Raises:
        OSError: with the file's name, in place of one without.
    """
    try:
        yield
    except OSError as error:
        if error.filename is None and error.errno is not None:
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise


def write_atomically(path: Path, content: str | bytes | memoryview | Callable[[IO[bytes]], object]) -> None:
    """Writes a file so that whoever reads it finds the old content or the new, whatever happens in between.

    Args:
        path: The file.
        content: Its text or bytes, or a function that writes it to an open binary file.

    Raises:
        OSError: naming the file, if it cannot be written.
    """
    temporary = part_of(path)
    try:
        with naming(path), temporary.open("xb") as file:
            if callable(content):
                content(file)
            else:
                # The name of a file need not be valid text.
                file.write(content.encode(errors="backslashreplace") if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
