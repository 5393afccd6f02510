"""Fitted things as plain arrays in a file: nothing in it can run code."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import IO, Any, Self

import numpy as np

from lenskit.plugin import LenskitError
from lenskit.toolbox import open_arrays, reason


@dataclass(frozen=True)
class Stored:
    """A dataclass of arrays, numbers and tuples of strings that saves itself in numpy's `.npz` format."""

    def save(self, file: str | Path | IO[bytes]) -> None:
        """Writes all fields to a file (to exactly this name, if it is one)."""
        arrays = {field.name: np.asarray(getattr(self, field.name)) for field in fields(self)}
        if isinstance(file, str | Path):
            with Path(file).open("wb") as opened:
                np.savez(opened, allow_pickle=False, **arrays)
        else:
            np.savez(file, allow_pickle=False, **arrays)

    @classmethod
    def load(cls, file: str | Path | IO[bytes]) -> Self:
        """Reads what `save` wrote.

        Raises:
            LenskitError: if the file holds anything else, such as an array of Python objects.
        """
        try:
            with open_arrays(file) as arrays:
                return cls(**{field.name: _plain(arrays[field.name]) for field in fields(cls)})
        except LenskitError:
            raise
        except Exception as error:  # a damaged archive raises whatever its bytes happen to spell
            raise LenskitError(f"{file} holds no {cls.__name__}: {reason(error)}") from error


def _plain(array: np.ndarray) -> Any:
    """An array of strings as a tuple, a single number as a number, any other array as it is."""
    if array.dtype.kind == "U":
        return tuple(array.tolist())
    return array if array.ndim else array.item()
