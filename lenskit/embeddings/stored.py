"""Features that stay on disk until rows of them are wanted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from lenskit.errors import LenskitError, too_many_files

FAULTS = (ValueError, KeyError, TypeError, OSError, RuntimeError)
"""What is raised of a file that is damaged."""


class StoredMatrix:
    """Features (n, d) of a file, of which rows are read: `matrix[rows]` for a slice, numbers or a mask of rows, and all
    of them with `np.asarray(matrix)`.

    Args:
        path: The file, for messages.
        array: An array of Zarr, or a memory map.
    """

    ndim = 2

    def __init__(self, path: Path, array: Any) -> None:
        self.path, self._array = path, array
        self.shape: tuple[int, ...] = tuple(array.shape)
        self.dtype = np.dtype(array.dtype)
        if len(self.shape) != self.ndim:
            raise ValueError(f"features have shape (n, d), these {self.shape}")

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: Any) -> NDArray[Any]:
        """Some rows.

        Raises:
            LenskitError: if they are damaged, or not finite.
        """
        wanted = rows if isinstance(rows, slice) else np.asarray(rows)
        if not isinstance(wanted, slice):
            wanted = np.flatnonzero(wanted) if wanted.dtype == bool else wanted.astype(np.int64)
            if wanted.size and not -len(self) <= wanted.min() <= wanted.max() < len(self):
                raise IndexError(f"there are {len(self)} rows of features")
        try:
            features = np.asarray(self._rows(wanted))
        except FAULTS as error:
            said = f"{self.path} is damaged: {' '.join(str(error).split())[:160]}"
            raise too_many_files(error) or LenskitError(said) from None
        if not np.isfinite(features).all():
            raise LenskitError(f"{self.path} holds features that are not finite")
        return features

    def _rows(self, wanted: slice | NDArray[np.int64]) -> Any:
        if isinstance(wanted, slice) or isinstance(self._array, np.ndarray):
            return self._array[wanted]
        if wanted.ndim == 0:
            return self._array[int(wanted)]
        return self._array.oindex[wanted % len(self), :]

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[Any]:
        return np.asarray(self[:], dtype)


Matrix = NDArray[Any] | StoredMatrix
"""Features (n, d), of which rows can be taken."""
