"""Who makes what, where several processes fill one store.

There is one lock file beside a store, of which every process that fills the store locks bytes. The kernel gives a
lock back when its process ends, in whatever way, so there are no stale ones.

    byte 0         every writer, shared: whoever holds it exclusively is alone and may sweep
    byte 1         whoever begins or finishes the store
    byte 2 + n     whoever makes chunk n

POSIX record locks belong to a process and are lost when it closes *any* descriptor of the file: a process opens it
once a store.
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
    """The claims of this process on a store.

    Where there are no locks (some network file systems), everything is granted and nobody is ever alone: work may be
    done twice, and left-over files stay; what is written is right all the same. `available` says whether there are,
    once one has joined.

    Args:
        store: The store; its lock file is `STORE.lock`.
    """

    def __init__(self, store: Path) -> None:
        self.path = store.with_name(store.name + ".lock")
        self._file = -1
        self.available = fcntl is not None

    @contextmanager
    def joined(self, sweep: Callable[[], object]) -> Iterator[None]:
        """Is one of the writers; the last one sweeps at the end, and removes the lock file."""
        self._open()
        try:
            yield
        finally:
            with self.alone() as alone:
                if alone:
                    sweep()
                    # Whoever opened it meanwhile waits for byte 0, and will find that it is gone.
                    self.path.unlink(missing_ok=True)
            os.close(self._file)
            self._file = -1
            if not self.available:
                self.path.unlink(missing_ok=True)

    def _open(self) -> None:
        ours = self.path.is_file() and not self.path.is_symlink() and not self.path.stat().st_size
        if os.path.lexists(self.path) and not ours:
            raise UsageError(f"{self.path} is in the way, and no lock of lenskit: move it, or choose another --out")
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
        """Whether this is the only writer; none can join before the end of the context if it is."""
        alone = self._lock(WRITERS, wait=False) and self.available
        try:
            yield alone
        finally:
            if alone:
                self._lock(WRITERS, shared=True)

    @contextmanager
    def setup(self) -> Iterator[None]:
        """Waits until nobody else begins or finishes the store."""
        self._lock(SETUP)
        try:
            yield
        finally:
            self._unlock(SETUP)

    @contextmanager
    def chunk(self, chunk: int, wait: bool = False) -> Iterator[bool]:
        """Claims a chunk: whether it is granted, if one does not wait for it."""
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
