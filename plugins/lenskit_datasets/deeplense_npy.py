"""Reader of DeepLense's data: numpy arrays or pictures, in one folder per class."""

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
"""Default axes by number of axes: images n, batches of images b."""

AXION_MASS = (
    Parameter("axion_mass", "eV", "$m$"),
    Parameter("log_axion_mass", "log10 eV", r"$\log_{10} m$", headline=True),
)
"""Parameters of files with an image and an axion mass."""

Axes = Literal["hw", "chw", "nhw", "nchw", "bnchw"]


class DeepLenseNpy(ImageFiles):
    """Simulated lenses in classes of substructure, as the DeepLense papers share them.

    ```
    train/                    a folder per class          train/              a file per class
      no_sub/1.npy, ...         one image per file,         no_sub.npy          (n, 150, 150), (n, 1, 150, 150),
      sphere/1.npy, ...         npy or PNG, JPEG, TIFF      sphere.npy          or (batches, n, 1, 150, 150)
      vortex/1.npy, ...                                     vortex.npy
    ```

    The class is the label. It is the name of the folder, or for arrays of many images in one folder, the name of the
    file. Arrays are mapped into memory, so that unread parts need no memory.

    DeepLenseSim (https://github.com/mwt5345/DeepLenseSim) saves lenses with vortices as `np.array([image, mass])`, a
    pickled array of Python objects. `object_arrays` reads these without executing the pickle. The axion's mass in eV
    becomes the parameters `axion_mass` and `log_axion_mass`, which are NaN for all other images. Other pickles are
    refused.

    Args:
        path: File or folder.
        axes: Axes of the arrays: batches b, images n, channels c, height h and width w. By default they follow from the
            number of axes, as shown above.
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
        """Whether a path is an npy file, or a folder with npy files and no other images."""
        return kinds_in(path) == {ARRAYS} if path.is_dir() else has_ending(path, ARRAYS)

    def shape_of(self, file: Path) -> tuple[int, int, int, int]:
        """Return images, channels, height and width of a file; see `ImageFiles`.

        Pickled pairs have no header. Pairs with the same length in bytes have the same shape, so only one is read.
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
        """Return the images of a file; see `ImageFiles`."""
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
                f"{file} holds an array {array.shape}: {len(array)} images (use axes=nhw) or channels (axes=chw)?"
            )
        channels = array.shape[-3] if "c" in axes else 1
        if channels > min(array.shape[-2:]):
            raise UsageError(f"{file}: channels must come before height and width, but the axes are {array.shape}")
        if not array.size:
            raise UsageError(f"{file} holds no images: {array.shape}")
        return array.reshape(-1, channels, *array.shape[-2:])

    def read_parameters(self, index: Sequence[int]) -> dict[str, Tensor]:
        """Return parameters; read only files with a mass, and each of them once.

        See `Dataset.read_parameters`.
        """
        parameters = super().read_parameters(index)
        if self._pairs:
            files = np.searchsorted(self._ends, np.asarray(index, np.int64), "right")
            mass = np.array([self._mass(self._files[i]) for i in files], np.float64)
            positive = np.where(mass > 0, mass, np.nan)
            values = {"axion_mass": mass, "log_axion_mass": np.log10(positive)}
            parameters |= {each.name: torch.from_numpy(values[each.name].astype(np.float32)) for each in self._of_mass}
        return parameters

    def _mass(self, file: Path) -> float:
        """Return the axion mass in eV of a file, NaN if the file has none."""
        if file not in self._pairs:
            return np.nan
        if file not in self._masses:
            self._sound(self.images_of, file)
        return self._masses[file]

    def _class(self, file: Path) -> str | None:
        """Return the name of a file's class: its folder in the root, or its own name."""
        return super()._class(file) or (file.stem if file != self._root else None)

    def _are_classes(self, found: Any) -> bool:
        if len(self._files) == 1 and self._files[0].parent == self._root:
            return False
        return super()._are_classes(found)
