"""Storage of fitted models as plain arrays, which cannot execute code."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import IO, Any, Self

import numpy as np

from lenskit.plugin import LenskitError
from lenskit.toolbox import open_arrays, reason


@dataclass(frozen=True)
class Stored:
    """Dataclass of arrays, numbers and tuples of strings in the `.npz` format."""

    def save(self, file: str | Path | IO[bytes]) -> None:
        """Write all fields to a file; the ending `.npz` is not added to the file name."""
        arrays = {field.name: np.asarray(getattr(self, field.name)) for field in fields(self)}
        if isinstance(file, str | Path):
            with Path(file).open("wb") as opened:
                np.savez(opened, allow_pickle=False, **arrays)
        else:
            np.savez(file, allow_pickle=False, **arrays)

    @classmethod
    def load(cls, file: str | Path | IO[bytes]) -> Self:
        """Load an instance from a file that `save` wrote.

        Raises:
            LenskitError: The file is damaged or holds something else, for example an array of Python objects.
        """
        try:
            with open_arrays(file) as arrays:
                return cls(**{field.name: _plain(arrays[field.name]) for field in fields(cls)})
        except LenskitError:
            raise
        except Exception as error:  # a damaged archive can raise any exception
            raise LenskitError(f"{file} does not contain a {cls.__name__}: {reason(error)}") from error


def _plain(array: np.ndarray) -> Any:
    """Convert an array of strings to a tuple, and a 0-d array to a number."""
    if array.dtype.kind == "U":
        return tuple(array.tolist())
    return array if array.ndim else array.item()
