"""Reader of picture files, in one folder or in a folder per class."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lenskit.plugin import UsageError
from lenskit.toolbox import load_array as load
from lenskit_datasets.folders import ARRAYS, PICTURES, has_ending, kinds_in
from lenskit_datasets.image_files import ImageFiles
from lenskit_datasets.pictures import picture_pixels, picture_shape


class ImageFolder(ImageFiles):
    """Pictures: PNG, JPEG, TIFF or npy files, one per image.

    They are in one folder, or in a folder per class as in torchvision:

    ```
    lenses/                     a folder           lenses/            a folder per class
      J0008-0004.png                                 ring/a.tif
      J0044+0113.png                                 double/b.tif
      labels.csv                                     labels.csv
    ```

    Pixels are read as they are stored: 8 or 16 bits, integers or floats, one channel or three. Transparency is ignored.
    An array is (height, width), (channel, height, width) or (height, width, channel). Folders with one image each are
    lenses, not classes.

    Args:
        path: File or folder.
    """

    accepts = "a folder of PNG, JPEG, TIFF or npy files, or a folder of such folders, one for each class"
    endings = (*PICTURES, *ARRAYS)

    def __init__(self, path: str | Path, **options: Any) -> None:
        super().__init__(path, **options)

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Whether a path is a picture, or a folder with pictures in one or two levels."""
        return PICTURES in kinds_in(path) if path.is_dir() else has_ending(path, PICTURES)

    def shape_of(self, file: Path) -> tuple[int, int, int, int]:
        """Return images, channels, height and width of a file; see `ImageFiles`."""
        if has_ending(file, ARRAYS):
            return self.images_of(file).shape
        return (1, *picture_shape(file))

    def images_of(self, file: Path) -> NDArray[Any]:
        """Return the images of a file; see `ImageFiles`."""
        if not has_ending(file, ARRAYS):
            return picture_pixels(file)[None]
        array = load_array(file)
        if array.ndim == 2:
            return array[None, None]
        if array.ndim == 3 and array.shape[-1] <= 4 < min(array.shape[:2]):
            return np.moveaxis(array, -1, 0)[None]
        if array.ndim == 3 and array.shape[0] <= min(array.shape[1:]):
            return array[None]
        raise UsageError(
            f"{file} holds an array {array.shape}; one image is (height, width), with channels first or last; "
            "arrays of many images are read by deeplense-npy"
        )


def load_array(file: Path) -> NDArray[Any]:
    """Return an array of real numbers, mapped into memory.

    Raises:
        UsageError: The file does not contain real numbers.
        Exception: Of any type, if the file is damaged.
    """
    try:
        array = load(file)
    except ValueError as error:
        if "pickle" in str(error) or "Python object" in str(error):
            raise UsageError(f"{file} holds Python objects, which are not read: save an array of numbers") from error
        raise
    if array.dtype.kind not in "fiub":
        raise UsageError(f"{file} holds values of the type {array.dtype}; images are real numbers")
    return array
