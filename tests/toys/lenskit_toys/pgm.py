"""A format of rendered images: a folder of PGM pictures."""

from __future__ import annotations

import numpy as np

from lenskit.plugin import ImageFormat, UsageError
from lenskit.toolbox import Rendering


class Pgm(ImageFormat):
    """Folder of PGM pictures of one channel, linear from zero to the peak."""

    endings = (".pgm",)
    folder_of = ".pgm"

    def write_images(self, rendering: Rendering) -> None:
        _, channels, height, width = rendering.shape
        if channels > 1:
            raise UsageError(f"PGM pictures have one channel, these images have {channels}: use --format hdf5")
        for part in rendering:
            for name, image in zip(rendering.names[part.first :], part.images, strict=False):
                grey = 65535 * np.clip(image / image.max(), 0, 1)
                content = b"P5 %d %d 65535\n" % (width, height) + grey.astype(">u2").tobytes()
                (self.path / f"{name}.pgm").write_bytes(content)
