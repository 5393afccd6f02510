"""Base class of the file formats that lenskit writes."""

from __future__ import annotations

from abc import ABC
from pathlib import Path
from typing import ClassVar


class FileFormat(ABC):
    """File or folder in one format.

    A format holds stores (`Format`), rendered images (`ImageFormat`) or features (`FeatureFormat`). One class may be
    a subclass of several of these bases.

    Args:
        path: The file or folder. It need not exist.

    Attributes:
        holds: Word for the content, set by each base.
        endings: Suffixes of paths that select the format, such as `.h5`. The empty text selects it for paths without a
            suffix.
        reader: Name of the dataset that reads it; empty if none does.
    """

    holds: ClassVar[str]
    endings: ClassVar[tuple[str, ...]] = ()
    reader: ClassVar[str] = ""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def contents(cls) -> list[str]:
        """Return the kinds of content: some of `stores`, `images` and `features`."""
        return [vars(base)["holds"] for base in cls.__mro__ if "holds" in vars(base)]
