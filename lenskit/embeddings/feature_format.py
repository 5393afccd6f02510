"""Base class of the file formats of embeddings."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from typing import Any

from lenskit.embeddings.table import FeatureTable
from lenskit.kinds.format import FileFormat


class FeatureFormat(FileFormat):
    """File of features and image metadata: columns, and a card of JSON values.

    For a damaged file, methods may raise a `ValueError`, `KeyError`, `TypeError` or `OSError`. lenskit reports it in
    one line that names the file.
    """

    holds = "features"

    def check_installed(self) -> None:
        """Check that the packages that the format needs are installed.

        Raises:
            LenskitError: A package is missing. The message has the command that installs it.
        """
        return None

    @abstractmethod
    def has_features(self) -> bool:
        """Whether the file at `path` holds features, from lenskit or another program."""

    def feature_card(self) -> Any:
        """Return the card of the file; None if it has no card."""
        return None

    def feature_strangers(self, card: dict[str, Any]) -> list[str]:
        """Return the names of files in the folder at `path` that lenskit did not write.

        The list is empty for a single file.
        """
        return []

    def write_features(self, parts: Iterator[FeatureTable], rows: int) -> None:
        """Write a file to `path`, which lenskit renames when it is complete.

        Without this method, the format can only be read.

        Args:
            parts: Tables of one or more rows each, all with the same card and columns. A column is an array
                (n,) of numbers, (n, d) of features, or (n,) of Python strings.
            rows: Total number of rows.
        """
        raise NotImplementedError

    @abstractmethod
    def read_features(self, card: dict[str, Any]) -> dict[str, Any]:
        """Return the columns by name; features may be a `StoredMatrix`.

        Args:
            card: The checked card; empty if lenskit did not write the file.
        """
