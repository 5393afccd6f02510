"""Writes HDF5 files so that a full disk is an error and no crash."""

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
    """Makes an HDF5 file.

    The HDF5 library crashes if it cannot write what it holds when it closes a file. So it is told that all was
    written, and the fault is raised by us: at the end, or when the function that comes with the file is called.

    Args:
        path: The file. What is there is replaced.

    Yields:
        The `h5py.File`, and a function that raises if something could not be written.

    Raises:
        OSError: if it cannot be written.
    """
    import h5py

    with _Disk(path) as disk:
        try:
            with h5py.File(disk, "w", track_order=True) as file:
                yield file, disk.check
        finally:
            disk.check()  # whatever else went wrong came of that
        os.fsync(disk.fileno())


class _Disk(FileIO):
    """A file that remembers its first fault, and pretends from there on that all goes well.

    HDF5 may read again what it wrote. So what the disk did not take is held in memory.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path, "w+")
        self._fault: OSError | None = None
        self._held: list[tuple[int, bytes]] = []

    def check(self) -> None:
        """Raises the fault, if there was one."""
        if self._fault:
            raise OSError(self._fault.errno, self._fault.strerror) from self._fault

    def write(self, content: Any) -> int:
        left = memoryview(content).cast("B")
        size = len(left)
        while len(left) and not self._fault:
            try:
                left = left[super().write(left) :]  # a full disk takes the first part
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
