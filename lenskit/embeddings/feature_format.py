"""Base of the formats of embeddings."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from typing import Any

from lenskit.embeddings.table import FeatureTable
from lenskit.kinds.format import FileFormat


class FeatureFormat(FileFormat):
    """A file of features with what is known of their images: columns, and a card of plain values as JSON holds them.

    A damaged file may raise a `ValueError`, `KeyError`, `TypeError` or `OSError`: lenskit makes it one line that names
    the file.
    """

    holds = "features"

    def check_installed(self) -> None:
        """Raise a `LenskitError` that says how to get a package that the format needs and that is missing."""
        return None

    @abstractmethod
    def has_features(self) -> bool:
        """Whether the file at `path` holds features, written by lenskit or by others."""

    def feature_card(self) -> Any:
        """Return the card of the file as it was written; None if it has none."""
        return None

    def feature_strangers(self, card: dict[str, Any]) -> list[str]:
        """Return names of what is in the folder at `path` and lenskit did not write. A single file has none."""
        return []

    def write_features(self, parts: Iterator[FeatureTable], rows: int) -> None:
        """Write a file to `path`, which lenskit renames when it is whole. A format without this method is only read.

        Args:
            parts: Some rows each, at least one. All have the card and the columns of the first. A column is an array
                (n,) of numbers, (n, d) of features, or (n,) of objects, which are texts.
            rows: Number of rows of all parts.
        """
        raise NotImplementedError

    @abstractmethod
    def read_features(self, card: dict[str, Any]) -> dict[str, Any]:
        """Return the columns by name; features may be a `StoredMatrix`.

        Args:
            card: The checked card of a file of ours, else empty.
        """
