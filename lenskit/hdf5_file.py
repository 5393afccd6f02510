"""Writing of HDF5 files, with an error instead of a crash if the disk is full."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path
from typing import Any

Check = Callable[[], None]


@contextmanager
def new_hdf5(path: Path) -> Iterator[tuple[Any, Check]]:
    """Create an HDF5 file.

    The HDF5 library crashes if it closes a file and cannot write its buffers. So a write error is hidden from the
    library. It is raised at the end of the context, or by the function that is returned with the file.

    Args:
        path: The file. An existing file is overwritten.

    Yields:
        The `h5py.File`, and a function that raises the first write error, if there was one.

    Raises:
        OSError: The file cannot be written.
    """
    import h5py

    with _Disk(path) as disk:
        try:
            with h5py.File(disk, "w", track_order=True) as file:
                yield file, disk.check
        finally:
            disk.check()  # replaces any other error, because the write error caused it
        os.fsync(disk.fileno())


class _Disk(FileIO):
    """File that records its first write error, and reports success from then on.

    HDF5 may read back its own data. So data that could not be written are kept in memory.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path, "w+")
        self._fault: OSError | None = None
        self._held: list[tuple[int, bytes]] = []

    def check(self) -> None:
        """Check that there was no write error.

        Raises:
            OSError: The first write error.
        """
        if self._fault:
            raise OSError(self._fault.errno, self._fault.strerror) from self._fault

    def write(self, content: Any) -> int:
        left = memoryview(content).cast("B")
        size = len(left)
        while len(left) and not self._fault:
            try:
                left = left[super().write(left) :]  # a full disk may take only the first part
            except OSError as error:
                self._fault = error
        if len(left):
            self._held.append((self.tell(), bytes(left)))
            self.seek(len(left), os.SEEK_CUR)
        return size

    def readinto(self, buffer: Any) -> int:
        start, wanted = self.tell(), memoryview(buffer).cast("B")
        size = super().readinto(wanted)
        if not self._fault:
            return size
        wanted[size:] = bytes(len(wanted) - size)
        for place, held in self._held:
            first, last = max(place, start), min(place + len(held), start + len(wanted))
            if first < last:
                wanted[first - start : last - start] = held[first - place : last - place]
        self.seek(start + len(wanted))
        return len(wanted)

    def truncate(self, size: int | None = None) -> int:
        if not self._fault:
            try:
                return super().truncate(size)
            except OSError as error:
                self._fault = error
        return size or 0
