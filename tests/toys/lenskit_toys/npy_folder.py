"""A format of stores: a folder of `.npy` files."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lenskit.toolbox import FolderFormat, Plan


class NpyFolder(FolderFormat):
    """Folder of `.npy` files, one per lens, each a record of `images` and `values`."""

    endings = (".npys",)
    card_file = "npy-folder.json"
    suffix = ".npy"

    def content(self, plan: Plan, images: NDArray[Any], values: NDArray[np.float64]) -> bytes:
        """Return the content of one file, see `FolderFormat.content`."""
        file = BytesIO()
        fields = [("images", images.dtype, images.shape), ("values", values.dtype, values.shape)]
        np.save(file, np.array((images, values), fields))
        return file.getvalue()
