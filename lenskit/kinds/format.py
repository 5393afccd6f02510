"""Formats: kinds of file that lenskit writes."""

from __future__ import annotations

from abc import ABC
from pathlib import Path
from typing import ClassVar


class FileFormat(ABC):
    """A file or folder of some format.

    A format holds stores (`Format`), rendered images (`ImageFormat`) or features (`FeatureFormat`). One class may be
    a subclass of several of these bases.

    Args:
        path: The file or folder, which need not exist.

    Attributes:
        holds: Word for the content, set by each of the bases.
        endings: Suffixes of paths that mean the format, such as `.h5`. The empty text means paths without a suffix.
        reader: Name of the dataset that reads it, if one does.
    """

    holds: ClassVar[str]
    endings: ClassVar[tuple[str, ...]] = ()
    reader: ClassVar[str] = ""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def contents(cls) -> list[str]:
        """Return what the format holds, some of `stores`, `images` and `features`."""
        return [vars(base)["holds"] for base in cls.__mro__ if "holds" in vars(base)]
