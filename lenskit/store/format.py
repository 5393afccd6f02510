"""Base of the formats of stores.

A store is begun, filled chunk by chunk in any order, and finished. Each step may be repeated after a kill.
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
"""Faults of a disk that may pass."""


class Format(FileFormat):
    """A store in some format, which is filled by steps.

    Several processes may fill one store, each with an object of its own. A chunk is claimed by one of them at a time.

    Args:
        path: Where it is, or shall be.

    Attributes:
        card_file: Name of the file that says what a folder is, which is written first. No other format uses it. A
            format that writes a single file leaves it out.
        name: Name by which the format was found. Only stores that `open_format` made have one.
    """

    holds = "stores"
    card_file: ClassVar[str] = ""
    name: str

    @abstractmethod
    def card(self) -> dict[str, Any]:
        """What the store says of itself; nothing if there is none."""

    @property
    def exists(self) -> bool:
        """Whether there is a store, filled or not, of whatever version of the format."""
        return self.card().get("format") == FORMAT

    def attributes(self) -> dict[str, Any]:
        """What the store says of itself, see `Plan.attributes`, and whether it is `complete`.

        Raises:
            UsageError: if it is no store, or one of another version of the format.
        """
        return checked_attributes(self.path, self.card())

    @abstractmethod
    def create(self, plan: Plan) -> None:
        """Makes what a store has before it has any images, unless it is there."""

    def missing(self, plan: Plan) -> list[int]:
        """The chunks that are to be written. Override this if one look at the folder is faster than one a chunk."""
        return [chunk for chunk in range(plan.chunks) if self.lacks(plan, chunk)]

    @abstractmethod
    def lacks(self, plan: Plan, chunk: int) -> bool:
        """Whether a chunk is to be written."""

    def whole(self, plan: Plan) -> bool:
        """Whether there is nothing left to do."""
        return self.attributes()["complete"] and not self.missing(plan)

    @abstractmethod
    def write(self, plan: Plan, chunk: int, images: NDArray[Any], values: NDArray[np.float64]) -> None:
        """Writes a chunk, so that it is whole if it is there.

        Args:
            plan: The plan of the store.
            chunk: Its number.
            images: (n, views, channels, height, width).
            values: (n, views, parameters).
        """

    @abstractmethod
    def finish(self, plan: Plan) -> None:
        """Makes a store with all its chunks complete; does nothing to one that is."""

    @abstractmethod
    def strangers(self) -> list[str]:
        """Names of what is in the store and lenskit did not write."""

    def is_part(self, name: str) -> bool:
        """Whether a file of that name, in the folder of a store, is one that a killed process was writing."""
        return False

    def sweep(self) -> None:
        """Removes what somebody began to write or to remove and did not finish. Nobody may be writing."""
        if not self.exists:
            return
        for removed in leftovers(self.path, "removed"):
            shutil.rmtree(removed, ignore_errors=True)
        for folder, _, files in os.walk(self.path):
            for name in files:
                if self.is_part(name):
                    Path(folder, name).unlink(missing_ok=True)

    def remove(self) -> None:
        """Removes the store. Nobody may be writing.

        Raises:
            UsageError: if there is something in it that lenskit did not write.
        """
        if strangers := self.strangers():
            raise UsageError(
                f"{self.path} holds {listed(strangers, 3)}, which lenskit did not write, so --overwrite leaves it "
                "alone: move what is yours, or choose another --out"
            )
        if self.path.is_dir():
            # What was removed in part must not look like a store that has to be filled up.
            aside = scratch(self.path, "removed")
            self.path.rename(aside)
            shutil.rmtree(aside)
        else:
            self.path.unlink(missing_ok=True)

    @property
    def blank(self) -> bool:
        """Whether a new store can be made: there is nothing, or only a card that was cut short."""
        if self.path.is_dir():
            return all(is_part(child.name) == self.card_file for child in self.path.iterdir())
        return not self.path.exists()


@contextmanager
def written(path: Path) -> Iterator[None]:
    """Turns a full disk and other faults of writing a store into one line.

    Raises:
        LenskitError: instead of any `OSError`.
    """
    try:
        yield
    except OSError as error:
        comfort = "; what is there is sound, and the same command goes on" if error.errno in DISK else ""
        raise LenskitError(f"{error.filename or path} cannot be written: {error.strerror or error}{comfort}") from error
