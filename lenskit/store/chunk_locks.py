"""Locks of chunks, with which several processes share the work on one store.

A store has one lock file, `STORE.lock`. Each process that fills the store locks bytes of it. The kernel releases the
locks when a process ends in any way, so there are no stale locks.

    byte 0         all writers, shared; a process that holds it exclusively is alone and may remove temporary files
    byte 1         the process that creates or finishes the store
    byte 2 + n     the process that makes chunk n

POSIX record locks belong to a process. They are lost when the process closes *any* descriptor of the file. Therefore a
process opens the lock file of a store only once.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from lenskit.errors import UsageError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

WRITERS, SETUP, FIRST_CHUNK = 0, 1, 2
UNAVAILABLE = (errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL)


class Claims:
    """Claims of this process on the chunks of a store.

    Some network file systems have no locks. Then every claim is granted and no process is ever alone. Work may be done
    twice and temporary files remain, but the written data are correct.

    Args:
        store: Path of the store; its lock file is `STORE.lock`.

    Attributes:
        path: Path of the lock file.
        available: Whether there are locks. Known after `joined`.
    """

    def __init__(self, store: Path) -> None:
        self.path = store.with_name(store.name + ".lock")
        self._file = -1
        self.available = fcntl is not None

    @contextmanager
    def joined(self, sweep: Callable[[], object]) -> Iterator[None]:
        """Register this process as a writer inside the context.

        At the end, the last writer calls `sweep` and removes the lock file.

        Args:
            sweep: Function that removes temporary files of killed processes.

        Raises:
            UsageError: The file at the path of the lock file is not a lock file of lenskit.
        """
        self._open()
        try:
            yield
        finally:
            with self.alone() as alone:
                if alone:
                    sweep()
                    # A process that has just opened the lock file waits for byte 0. Its `_open` then finds that the
                    # file is gone.
                    self.path.unlink(missing_ok=True)
            os.close(self._file)
            self._file = -1
            if not self.available:
                self.path.unlink(missing_ok=True)

    def _open(self) -> None:
        ours = self.path.is_file() and not self.path.is_symlink() and not self.path.stat().st_size
        if os.path.lexists(self.path) and not ours:
            raise UsageError(f"{self.path} is not a lock file of lenskit: move it, or choose another --out")
        while self._file < 0:
            self._file = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o666)
            self._lock(WRITERS, shared=True)
            with suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(self._file), self.path.stat()):
                    return
            os.close(self._file)
            self._file = -1

    @contextmanager
    def alone(self) -> Iterator[bool]:
        """Yield whether this process is the only writer.

        If this process is alone, no other process can join before the end of the context.
        """
        alone = self._lock(WRITERS, wait=False) and self.available
        try:
            yield alone
        finally:
            if alone:
                self._lock(WRITERS, shared=True)

    @contextmanager
    def setup(self) -> Iterator[None]:
        """Wait until no other process creates or finishes the store, and lock that step."""
        self._lock(SETUP)
        try:
            yield
        finally:
            self._unlock(SETUP)

    @contextmanager
    def chunk(self, chunk: int, wait: bool = False) -> Iterator[bool]:
        """Claim a chunk inside the context and yield whether it is granted.

        Args:
            chunk: Number of the chunk.
            wait: Whether to wait until it is granted.
        """
        granted = self._lock(FIRST_CHUNK + chunk, wait=wait)
        try:
            yield granted
        finally:
            if granted:
                self._unlock(FIRST_CHUNK + chunk)

    def _lock(self, byte: int, shared: bool = False, wait: bool = True) -> bool:
        if not self.available:
            return True
        mode = (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | (0 if wait else fcntl.LOCK_NB)
        try:
            fcntl.lockf(self._file, mode, 1, byte)
        except OSError as error:
            if error.errno in (errno.EACCES, errno.EAGAIN) and not wait:
                return False
            if error.errno not in UNAVAILABLE:
                raise
            self.available = False
        return True

    def _unlock(self, byte: int) -> None:
        if self.available:
            fcntl.lockf(self._file, fcntl.LOCK_UN, 1, byte)
