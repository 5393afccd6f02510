"""Features that stay on disk until their rows are read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from lenskit.errors import LenskitError, too_many_files

FAULTS = (ValueError, KeyError, TypeError, OSError, RuntimeError)
"""Exceptions that a damaged file can raise."""


class StoredMatrix:
    """Features (n, d) in a file.

    `matrix[rows]` reads rows, which are a slice, numbers or a mask. `np.asarray(matrix)` reads all rows.

    Args:
        path: The file, for messages.
        array: Zarr array or memory map.
    """

    ndim = 2

    def __init__(self, path: Path, array: Any) -> None:
        self.path, self._array = path, array
        self.shape: tuple[int, ...] = tuple(array.shape)
        self.dtype = np.dtype(array.dtype)
        if len(self.shape) != self.ndim:
            raise ValueError(f"features must have shape (n, d), but have {self.shape}")

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: Any) -> NDArray[Any]:
        """Read rows.

        Raises:
            LenskitError: The rows are damaged, or not finite.
        """
        wanted = rows if isinstance(rows, slice) else np.asarray(rows)
        if not isinstance(wanted, slice):
            wanted = np.flatnonzero(wanted) if wanted.dtype == bool else wanted.astype(np.int64)
            if wanted.size and not -len(self) <= wanted.min() <= wanted.max() < len(self):
                raise IndexError(f"there are {len(self)} rows of features")
        try:
            features = np.asarray(self._rows(wanted))
        except FAULTS as error:
            message = f"{self.path} is damaged: {' '.join(str(error).split())[:160]}"
            raise too_many_files(error) or LenskitError(message) from None
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
"""Features (n, d) that support `features[rows]`."""
