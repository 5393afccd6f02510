"""Lock of a run directory, held by the process that trains the run."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from lenskit.errors import LenskitError

try:
    import fcntl
except ImportError:  # Windows has no such locks: `is_held` is always false there
    fcntl = None  # type: ignore[assignment]

NAME = "run.lock"


@contextmanager
def held(folder: Path) -> Iterator[Callable[[], bool]]:
    """Hold the lock of a run directory.

    The kernel releases the lock when the process ends, even if the process is killed. Windows and some network file
    systems have no locks. The context is entered without a lock there.

    Yields:
        A function that returns whether the locked directory was neither moved nor removed. Without a lock, it returns
        whether the directory exists.

    Raises:
        LenskitError: Another process holds the lock.
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
    """Whether a process holds the lock of a run directory, because it trains the run."""
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
