"""DeepLense's data: arrays of many images, or one image a file, in a folder a class."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lenskit.plugin import Parameter, UsageError
from lenskit_datasets.folders import ARRAYS, PICTURES, has_ending, kinds_in
from lenskit_datasets.image_files import ImageFiles
from lenskit_datasets.image_folder import load_array
from lenskit_datasets.object_arrays import holds_objects, read_pair
from lenskit_datasets.pictures import picture_pixels, picture_shape

USUAL = {2: "hw", 3: "nhw", 4: "nchw", 5: "bnchw"}
"""What the axes of an array are, by their number: images n, batches of images b."""

AXION_MASS = (
    Parameter("axion_mass", "eV", "$m$"),
    Parameter("log_axion_mass", "log10 eV", r"$\log_{10} m$", headline=True),
)
"""Parameters of files that hold an image and the mass of an axion."""

Axes = Literal["hw", "chw", "nhw", "nchw", "bnchw"]


class DeepLenseNpy(ImageFiles):
    """Simulated lenses of several classes of substructure, as the DeepLense papers share them.

    ```
    train/                    a folder a class            train/              a file a class
      no_sub/1.npy, ...         one image a file,           no_sub.npy          (n, 150, 150), (n, 1, 150, 150),
      sphere/1.npy, ...         npy or PNG, JPEG, TIFF      sphere.npy          or (batches, n, 1, 150, 150)
      vortex/1.npy, ...                                     vortex.npy
    ```

    The class is the label: the folder's name or, of arrays of many images in one folder, the file's. Arrays are
    mapped into memory, so that what is not read needs none.

    DeepLenseSim (https://github.com/mwt5345/DeepLenseSim) saves lenses with vortices as `np.array([image, mass])`, a
    pickled array of Python objects: see `object_arrays` for how it is read. The axion's mass in eV becomes the
    parameters `axion_mass` and `log_axion_mass`, which are NaN for all other images. Other pickles are refused.

    Args:
        path: File or folder.
        axes: What the axes of the arrays are: batches b, images n, channels c, height h and width w. By default as
            shown above, by their number.
    """

    accepts = "a folder of npy files, or of folders of npy files or pictures, one for each class; or an npy file"
    endings = (*ARRAYS, *PICTURES)

    def __init__(self, path: str | Path, *, axes: Axes | None = None, **options: Any) -> None:
        self._axes = axes
        self._of_mass: list[Parameter] = []
        self._pairs: set[Path] = set()
        self._shapes: dict[int, tuple[int, int, int, int]] = {}
        self._masses: dict[Path, float] = {}
        super().__init__(path, **options)
        if self._pairs:
            taken = {parameter.name for parameter in self.parameters}
            self._of_mass = [parameter for parameter in AXION_MASS if parameter.name not in taken]
            self.parameters = [*self.parameters, *self._of_mass]

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Whether it is an npy file, or a folder with such and neither pictures nor FITS files."""
        return kinds_in(path) == {ARRAYS} if path.is_dir() else has_ending(path, ARRAYS)

    def shape_of(self, file: Path) -> tuple[int, int, int, int]:
        """See `ImageFiles`.

        Of pairs of image and mass, only the first of each length in bytes is read: the pickle has no header.
        """
        if not has_ending(file, ARRAYS):
            return (1, *picture_shape(file))
        if not holds_objects(file):
            return self.images_of(file).shape
        self._pairs.add(file)
        length = os.path.getsize(file)
        if length not in self._shapes:
            self._shapes[length] = self.images_of(file).shape
        return self._shapes[length]

    def images_of(self, file: Path) -> NDArray[Any]:
        """See `ImageFiles`."""
        if not has_ending(file, ARRAYS):
            return picture_pixels(file)[None]
        if file in self._pairs:
            image, self._masses[file] = read_pair(file)
            return image[None, None]
        array = load_array(file)
        axes = self._axes or USUAL.get(array.ndim)
        if axes is None or array.ndim != len(axes):
            wanted = self._axes or "(n, height, width), (n, channel, height, width) or (batches, n, channel, ...)"
            raise UsageError(f"{file} holds an array {array.shape}; its axes should be {wanted}")
        if self._axes is None and axes == "nhw" and 1 < len(array) <= 4:
            raise UsageError(
                f"{file} holds an array {array.shape}: {len(array)} images (say axes=nhw) or channels (axes=chw)?"
            )
        channels = array.shape[-3] if "c" in axes else 1
        if channels > min(array.shape[-2:]):
            raise UsageError(f"{file}: channels must come before height and width, but the axes are {array.shape}")
        if not array.size:
            raise UsageError(f"{file} holds no images: {array.shape}")
        return array.reshape(-1, channels, *array.shape[-2:])

    def read_parameters(self, index: Sequence[int]) -> dict[str, Tensor]:
        """See `Dataset.read_parameters`; files with a mass are read once, all others not at all."""
        parameters = super().read_parameters(index)
        if self._pairs:
            files = np.searchsorted(self._ends, np.asarray(index, np.int64), "right")
            mass = np.array([self._mass(self._files[i]) for i in files], np.float64)
            positive = np.where(mass > 0, mass, np.nan)
            values = {"axion_mass": mass, "log_axion_mass": np.log10(positive)}
            parameters |= {each.name: torch.from_numpy(values[each.name].astype(np.float32)) for each in self._of_mass}
        return parameters

    def _mass(self, file: Path) -> float:
        """The mass in eV that a file holds, NaN if it holds none."""
        if file not in self._pairs:
            return np.nan
        if file not in self._masses:
            self._sound(self.images_of, file)
        return self._masses[file]

    def _class(self, file: Path) -> str | None:
        """The folder in the root that a file is in, or else its own name."""
        return super()._class(file) or (file.stem if file != self._root else None)

    def _are_classes(self, found: Any) -> bool:
        if len(self._files) == 1 and self._files[0].parent == self._root:
            return False
        return super()._are_classes(found)
