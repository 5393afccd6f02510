"""Says that a run is being trained, for as long as the process that does it lives."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from lenskit.errors import LenskitError

try:
    import fcntl
except ImportError:  # Windows, where a run is never known to be running
    fcntl = None  # type: ignore[assignment]

NAME = "run.lock"


@contextmanager
def held(folder: Path) -> Iterator[Callable[[], bool]]:
    """Holds a run's directory. The kernel gives it back when the process ends, in whatever way.

    Where there are no locks (some network file systems), everything is granted.

    Yields:
        A function that says whether the directory is still the one that is held, and no other in its place.

    Raises:
        LenskitError: if another process holds it.
    """
    if fcntl is None:
        yield folder.is_dir
        return
    path = folder / NAME
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise LenskitError(f"{folder} is being trained by another process") from None
        except OSError:
            yield folder.is_dir
            return

        def still() -> bool:
            try:
                return os.path.samestat(os.fstat(file.fileno()), path.stat())
            except OSError:
                return False

        try:
            yield still
        finally:
            with suppress(OSError):
                if still():
                    path.unlink()


def is_held(folder: Path) -> bool:
    """Whether a process is training a run's directory."""
    if fcntl is None:
        return False
    try:
        with (folder / NAME).open("r+") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False
