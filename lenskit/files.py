"""Files that are whole whenever they are there."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import IO


def write_atomically(path: Path, content: str | bytes | memoryview | Callable[[IO[bytes]], object]) -> None:
    """Writes a file so that whoever reads it finds the old content or the new, whatever happens in between.

    Args:
        path: The file.
        content: Its text or bytes, or a function that writes it to an open binary file.
    """
    temporary = path.with_name(path.name + ".part")
    try:
        with temporary.open("wb") as file:
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
