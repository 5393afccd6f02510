"""Base of store formats.

A store is created, filled chunk by chunk in any order, and finished. Each step can be repeated after a kill.
"""

from __future__ import annotations

import errno
import os
import shutil
from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from lenskit.errors import LenskitError, UsageError
from lenskit.files import is_part
from lenskit.kinds.format import FileFormat
from lenskit.ownership import leftovers, scratch
from lenskit.store.plan import FORMAT, Plan, checked_attributes
from lenskit.words import listed

DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
"""Errors of a disk that may be temporary."""


class Format(FileFormat):
    """A store in some format, which is filled step by step.

    Several processes may fill one store, each with a separate object. Only one process at a time claims a chunk.

    Args:
        path: Path of an existing or new store.

    Attributes:
        card_file: Name of the card file, if the format writes a folder; empty for a single file. The card is written
            first. Each format must have a different name.
        name: Name of the format. Only stores that `open_format` returned have it.
    """

    holds = "stores"
    card_file: ClassVar[str] = ""
    name: str

    @abstractmethod
    def card(self) -> dict[str, Any]:
        """Return the card, the metadata of the store; empty if there is no store."""

    @property
    def exists(self) -> bool:
        """Whether there is a store, complete or not, of any version of the format."""
        return self.card().get("format") == FORMAT

    def attributes(self) -> dict[str, Any]:
        """Return the attributes of the store: `Plan.attributes` and `complete`.

        Raises:
            UsageError: There is no store, or the store has a different version of the format.
        """
        return checked_attributes(self.path, self.card())

    @abstractmethod
    def create(self, plan: Plan) -> None:
        """Create missing files that a store needs before images are written."""

    def missing(self, plan: Plan) -> list[int]:
        """Return the missing chunks.

        Override this method if one listing of the folder is faster than a test of each chunk.
        """
        return [chunk for chunk in range(plan.chunks) if self.lacks(plan, chunk)]

    @abstractmethod
    def lacks(self, plan: Plan, chunk: int) -> bool:
        """Whether a chunk is missing."""

    def whole(self, plan: Plan) -> bool:
        """Whether the store is complete and no chunk is missing."""
        return self.attributes()["complete"] and not self.missing(plan)

    @abstractmethod
    def write(self, plan: Plan, chunk: int, images: NDArray[Any], values: NDArray[np.float64]) -> None:
        """Write a chunk atomically: after a kill it is either missing or whole.

        Args:
            plan: Plan of the store.
            chunk: Number of the chunk.
            images: Images of the chunk, (n, views, channels, height, width).
            values: Parameters of the chunk, (n, views, parameters).
        """

    @abstractmethod
    def finish(self, plan: Plan) -> None:
        """Mark a store with all its chunks as complete; a complete store is unchanged."""

    @abstractmethod
    def strangers(self) -> list[str]:
        """Return the names of files in the store that lenskit did not write."""

    def is_part(self, name: str) -> bool:
        """Whether a file of that name in the store's folder is a temporary file."""
        return False

    def sweep(self) -> None:
        """Remove temporary files and partly removed stores.

        No other process may write to the store.
        """
        if not self.exists:
            return
        for removed in leftovers(self.path, "removed"):
            shutil.rmtree(removed, ignore_errors=True)
        for folder, _, files in os.walk(self.path):
            for name in files:
                if self.is_part(name):
                    Path(folder, name).unlink(missing_ok=True)

    def remove(self) -> None:
        """Remove the store.

        No other process may write to the store.

        Raises:
            UsageError: The store holds a file that lenskit did not write.
        """
        if strangers := self.strangers():
            raise UsageError(
                f"{self.path} holds {listed(strangers, 3)}, which lenskit did not write, so --overwrite does not "
                "remove it: move your files, or choose another --out"
            )
        if self.path.is_dir():
            # Rename first: a partly removed store must not look like an incomplete store.
            aside = scratch(self.path, "removed")
            self.path.rename(aside)
            shutil.rmtree(aside)
        else:
            self.path.unlink(missing_ok=True)

    @property
    def blank(self) -> bool:
        """Whether a new store can be created: nothing exists, or only a partial card."""
        if self.path.is_dir():
            return all(is_part(child.name) == self.card_file for child in self.path.iterdir())
        return not self.path.exists()


@contextmanager
def written(path: Path) -> Iterator[None]:
    """Turn an `OSError` while writing a store into an error of one line.

    Args:
        path: Path of the store, for errors without a file name.

    Raises:
        LenskitError: In place of any `OSError`.
    """
    try:
        yield
    except OSError as error:
        advice = "; existing chunks are undamaged, and the same command resumes" if error.errno in DISK else ""
        raise LenskitError(f"{error.filename or path} cannot be written: {error.strerror or error}{advice}") from error
