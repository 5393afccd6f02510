"""Format of rendered images: one MATLAB file."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lenskit.plugin import ImageFormat, UsageError
from lenskit.toolbox import Rendering

MOST_BYTES = 2**31
"""A variable in a MATLAB file of version 5 must have fewer bytes than this."""
LONGEST_NAME = 63
"""Largest number of characters in the name of a field."""


class MatFormat(ImageFormat):
    """One MATLAB file of version 5.

    It holds `images` (n, channels, height, width), `names`, and the structures `parameters` and `units` with one field
    per parameter.
    """

    endings = (".mat",)

    def write_images(self, rendering: Rendering) -> None:
        from scipy.io import savemat

        if 4 * np.prod(rendering.shape, dtype=np.int64) >= MOST_BYTES:
            raise UsageError(f"{rendering.shape[0]} images are too many for a MATLAB file (2 GB): use --format hdf5")
        for parameter in rendering.parameters:
            if not (parameter.name.isidentifier() and parameter.name.isascii() and len(parameter.name) <= LONGEST_NAME):
                raise UsageError(f"MATLAB does not allow a field {parameter.name!r}: use --format hdf5")
        content = {
            "images": np.concatenate([part.images for part in rendering]),
            "names": np.array(rendering.names, dtype=object),
            "parameters": {p.name: _column(rendering.column(p)) for p in rendering.parameters},
            "units": {p.name: p.unit for p in rendering.parameters},
        }
        content = {name: value for name, value in content.items() if not (isinstance(value, dict) and not value)}
        with self.path.open("wb") as file:
            savemat(file, content, long_field_names=True, oned_as="column")


def _column(values: NDArray[Any]) -> NDArray[Any]:
    return values.astype(object) if values.dtype.kind == "U" else values
