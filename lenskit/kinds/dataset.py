"""Datasets: what reads stored images."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from torch import Tensor

from lenskit.kinds.parameter import Parameter


class Dataset(ABC):
    """Images on disk and what is known of them.

    A subclass takes the path as its first constructor argument; its keyword-only arguments are its options.
    """

    parameters: Sequence[Parameter] = ()
    """The labels; `read` gives a value for each, NaN where it is not known."""

    image_shape: tuple[int, int, int]
    """Channels, height and width of an image."""

    views: int = 1
    """Number of images stored of each lens."""

    shared: frozenset[str] = frozenset()
    """Parameter groups that the stored images of a lens share."""

    chunk: int = 1
    """Number of neighbouring lenses that are stored, and best read, together."""

    names: Sequence[str]
    """A name for each lens, such as its file's."""

    accepts: ClassVar[str] = ""
    """One line that says which paths this reader takes, for error messages."""

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Whether the path looks like this format, so that `--data PATH` needs no format named."""
        return False

    def __len__(self) -> int:
        return len(self.names)

    @abstractmethod
    def read(self, index: Sequence[int]) -> tuple[Tensor, dict[str, Tensor]]:
        """Reads some lenses.

        Args:
            index: n numbers of lenses, from 0 to `len(self)` - 1.

        Returns:
            Images (n, views, channels, height, width), float32 and finite, and for each parameter its values (n,)
            as float32.
        """
