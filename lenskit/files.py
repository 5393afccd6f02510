"""Files that are whole whenever they are there."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO


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
    temporary = path.with_name(path.name + ".part")
    try:
        with naming(path), temporary.open("wb") as file:
            if callable(content):
                content(file)
            else:
                file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
