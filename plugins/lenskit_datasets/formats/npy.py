"""Format of rendered images and of features: one numpy array."""

from __future__ import annotations

from typing import Any

import numpy as np

from lenskit.plugin import FeatureFormat, ImageFormat
from lenskit.toolbox import Rendering, StoredMatrix, load_array


class NpyFormat(ImageFormat, FeatureFormat):
    """One array of numpy.

    Rendered images are (n, channels, height, width), float32; their parameters are in a file next to the array.
    Features (n, d) can be read, too; their rows stay on disk until they are needed.
    """

    endings = (".npy",)
    reader = "deeplense-npy"
    parameters_beside = True

    def write_images(self, rendering: Rendering) -> None:
        with self.path.open("wb") as file:
            header = {"descr": "<f4", "fortran_order": False, "shape": rendering.shape}
            np.lib.format.write_array_header_1_0(file, header)
            for part in rendering:
                file.write(part.images.astype("<f4", order="C", copy=False).tobytes())

    def has_features(self) -> bool:
        return self.path.is_file()

    def read_features(self, card: dict[str, Any]) -> dict[str, Any]:
        return {"features": StoredMatrix(self.path, load_array(self.path))}
