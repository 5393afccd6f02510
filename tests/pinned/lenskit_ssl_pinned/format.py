"""Folder of PGM pictures."""

import numpy as np
from lenskit.plugin import ImageFormat, UsageError


class PinnedFormat(ImageFormat):
    """Folder of PGM pictures of one channel, linear from zero to the peak."""

    folder_of = ".pgm"                                  # a folder of files NAME.pgm; without it, a single file

    def write_images(self, rendering):
        _, channels, height, width = rendering.shape
        if channels > 1:
            raise UsageError(f"PGM pictures have one channel, these images have {channels}: use --format hdf5")
        for part in rendering:                          # renders images part by part
            for name, image in zip(rendering.names[part.first :], part.images):
                grey = 65535 * np.clip(image / image.max(), 0, 1)
                content = b"P5 %d %d 65535\n" % (width, height) + grey.astype(">u2").tobytes()
                (self.path / f"{name}.pgm").write_bytes(content)
