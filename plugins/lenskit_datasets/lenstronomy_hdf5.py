"""Reader of images for lenstronomy, one HDF5 file per lens and band.

Format: https://github.com/ajshajib/dolphin stores the `kwargs_data` of lenstronomy's `ImageData`.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from math import atan2, degrees
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
import torch
from annotated_types import Gt
from numpy.typing import NDArray
from torch import Tensor

from lenskit.plugin import LenskitError, Parameter, UsageError, at_most
from lenskit.toolbox import check_bytes, hdf5_item, too_many_files
from lenskit_datasets.folders import check_names, has_ending, look_through, matching
from lenskit_datasets.labels import LABELS, find_table, read_labels
from lenskit_datasets.pixel_scale import check_resampled, common_scale, regrid, resampled_length, seen
from lenskit_datasets.pixels import by, common_shape
from lenskit_datasets.reader import Reader

log = logging.getLogger("lenskit")

ENDINGS = (".h5", ".hdf5")
IMAGE, EXPOSURE, BACKGROUND, TRANSFORM = "image_data", "exposure_time", "background_rms", "transform_pix2angle"
PREFIX = "image_"
"""Prefix of dolphin's files, `image_LENS_BAND.h5`, which is no part of the lens's name."""

FAULTS = (OSError, RuntimeError, KeyError, ValueError, TypeError)
"""Exceptions that h5py raises for a damaged file."""

ROTATED = 1.0
"""Largest rotation in degrees between pixels and angles that is ignored."""

RECORDED = (Parameter(BACKGROUND, group="image"), Parameter(EXPOSURE, "s", group="image"))
"""Properties of the noise. They are recorded if all files have them."""


class Description(NamedTuple):
    """Shape, scale, noise and orientation of the image in a file.

    Attributes:
        area: Height and width of the oriented image in pixels.
        scale: Size of a pixel in arcsec.
        transform: (2, 2) array from steps of pixels (x, y) to steps of angles in arcsec.
        noise: Background noise, and median exposure time of the exposed pixels in s. NaN if unknown.
    """

    area: tuple[int, int]
    scale: float
    transform: NDArray[np.float64]
    noise: tuple[float, float]


class LenstronomyHdf5(Reader):
    """Images of lenstronomy and dolphin, with noise and orientation.

    ```
    data/
      labels.csv                    name, theta_E, ...
      J0008-0004/image_J0008-0004_F814W.h5
        image_data                  (height, width)
        transform_pix2angle         (2, 2), from pixels to arcsec
        background_rms              optional, a number or a map
        exposure_time               optional, a number or a map in s; pixels with 0 are undefined
    ```

    Images are mirrored and turned by multiples of 90 degrees, so that x and y of the pixels are the directions of x and
    y of lenstronomy's angles, to which its ellipticities and positions refer. The name of a lens is the name of the
    file without `image_` and the ending. Other HDF5 files in the folder, such as PSFs, are ignored.

    Args:
        path: File or folder.
        pattern: Pattern of the files in the folder, such as `*/image_*_F814W.h5`. By default all files with an image,
            in the folder and its subfolders.
        size: Height and width in pixels of the central part to use. By default the entire image; then all images must
            have the same size.
        labels: CSV file with labels. Its first column is the name of the lens, its numeric columns are parameters. By
            default `labels.csv` in the folder, if there is one.
        columns: Columns of parameters that have different names in the table, such as `{theta_E = "b_SIE"}`.
        resample: New pixel size in arcsec, before the central part is cut out. Surface brightness is kept: the values,
            not their sum.
    """

    accepts = "an HDF5 file with image_data and transform_pix2angle, or a folder of such files"

    def __init__(
        self,
        path: str | Path,
        *,
        pattern: str | None = None,
        size: Annotated[int, Gt(0), at_most(10**6)] | None = None,
        labels: str | None = None,
        columns: dict[str, str] | None = None,
        resample: Annotated[float, Gt(0)] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self._root = Path(path)
        self._files = self._find(pattern)
        self.names = [file.name.rpartition(".")[0].removeprefix(PREFIX) for file in self._files]
        check_names(self._root, self.names)
        described = [describe(file) for file in self._files]
        self._tell_of_rotations(described)
        self.pixel_scale = resample or common_scale([each.scale for each in described], self._files)
        self._ratios = [1.0] * len(described)
        if resample:
            for file, each in zip(self._files, described, strict=True):
                check_resampled(file, each.area, each.scale, resample)
            self._ratios = [each.scale / resample for each in described]
        shapes = [
            (1, resampled_length(each.area[0], ratio), resampled_length(each.area[1], ratio))
            for each, ratio in zip(described, self._ratios, strict=True)
        ]
        self.image_shape = common_shape(shapes, self._files, size)
        self.parameters, self._labels = self._labelled(labels, columns or {}, described)

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Whether a path is a file with an image for lenstronomy, or a folder with one."""
        if path.is_dir():
            return any(holds_image(file) for file in look_through(path, depth=1).ending(ENDINGS))
        return path.is_file() and has_ending(path, ENDINGS) and holds_image(path)

    def read(self, index: Sequence[int]) -> tuple[Tensor, dict[str, Tensor]]:
        """Read images and parameters; see `Dataset.read`.

        Raises:
            LenskitError: A file cannot be read, or has no image.
        """
        images = np.empty((len(index), 1, *self.image_shape), np.float32)
        for place, number in enumerate(index):
            images[place, 0, 0] = self._image(int(number))
        return torch.from_numpy(images), self.read_parameters(index)

    def read_parameters(self, index: Sequence[int]) -> dict[str, Tensor]:
        """Return parameters without reading images; see `Dataset.read_parameters`."""
        labels = torch.from_numpy(self._labels[np.asarray(index, int)])
        return {parameter.name: labels[:, i] for i, parameter in enumerate(self.parameters)}

    def _image(self, number: int) -> NDArray[np.float32]:
        """Return one image (height, width): oriented, filled, resampled and cut out."""
        file, name = self._files[number], self.names[number]
        with opened(file) as items:
            transform = values_of(file, items, TRANSFORM)
            image = self.in_single_precision(values_of(file, items, IMAGE))
            exposure = values_of(file, items, EXPOSURE) if EXPOSURE in items else np.ones(())
        if exposure.shape == image.shape:
            with np.errstate(invalid="ignore"):
                image[~(exposure > 0)] = np.nan
        image = oriented(image, transform)
        ratio, size = self._ratios[number], self.image_shape[-1]
        middle = seen(image.shape, ratio, size)
        good = image[middle][np.isfinite(image[middle])]
        if not good.size or np.ptp(good) == 0:
            why = f"all good pixels are {good[0]:g}" if good.size else "all pixels are undefined"
            raise LenskitError(f"{file} holds no image: {why} in the middle {by(image[middle].shape)}")
        return regrid(self.undefined.fill(image, str(file), name, middle), ratio, size)

    def _find(self, pattern: str | None) -> list[Path]:
        """Return the files with an image, sorted by name."""
        if self._root.is_file():
            return [self._root]
        if not self._root.is_dir():
            raise UsageError(f"there is no file or folder {self._root}; lenstronomy-hdf5 takes {self.accepts}")
        listing = matching(self._root, pattern) if pattern else look_through(self._root)
        listing.tell(self._root)
        files = [file for file in listing.ending(ENDINGS) if holds_image(file)]
        if not files:
            wanted = f"of the pattern {pattern}" if pattern else f"that ends in {' or '.join(ENDINGS)}"
            raise UsageError(f"no file {wanted} in {self._root} has {IMAGE} and {TRANSFORM}")
        return files

    def _labelled(
        self, labels: str | None, columns: dict[str, str], described: Sequence[Description]
    ) -> tuple[list[Parameter], NDArray[np.float32]]:
        """Return the parameters: those of the table, and the noise if all files state it."""
        folder = self._root if self._root.is_dir() else self._root.parent
        table = find_table(folder, labels)
        if table is None and columns:
            raise UsageError(f"columns are given, but no table of labels: there is no {folder / LABELS}")
        parameters: list[Parameter] = []
        values = np.zeros((len(self.names), 0), np.float32)
        if table is not None:
            found, values = read_labels(table, self.names, columns)
            parameters = [*found]
        noise = np.array([each.noise for each in described], np.float32)
        taken = {parameter.name for parameter in parameters}
        kept = [i for i, p in enumerate(RECORDED) if p.name not in taken and np.isfinite(noise[:, i]).all()]
        return [*parameters, *(RECORDED[i] for i in kept)], np.concatenate([values, noise[:, kept]], 1)

    def _tell_of_rotations(self, described: Sequence[Description]) -> None:
        """Warn in one line if pixels are rotated to the angles of the labels."""
        angles = [rotation(each.transform) for each in described]
        turned = [i for i, angle in enumerate(angles) if abs(angle) > ROTATED]
        if turned:
            first = turned[0]
            log.warning(
                "%s: the pixels of %d of %d images are rotated to lenstronomy's angles, such as those of %s by %.1f "
                "degrees: ellipticities and positions in the labels do not refer to the pixels",
                self._root, len(turned), len(angles), self._files[first].name, angles[first],
            )  # fmt: skip


def describe(file: Path) -> Description:
    """Return the description of a file; the pixels of its image are not read.

    Raises:
        UsageError: The image does not have two axes, or its transform is no square grid.
        LenskitError: The file cannot be read.
    """
    with opened(file) as items:
        shape = tuple(hdf5_item(items, IMAGE).shape)
        transform = values_of(file, items, TRANSFORM)
        background, exposure = (
            values_of(file, items, name) if name in items else np.array(np.nan) for name in (BACKGROUND, EXPOSURE)
        )
    if len(shape) != 2:
        raise UsageError(f"{file}: {IMAGE} has {len(shape)} axes; it must have 2, height and width")
    if transform.shape != (2, 2) or not np.isfinite(transform).all():
        raise UsageError(f"{file}: {TRANSFORM} must be a matrix of 2 x 2 numbers")
    scales = np.linalg.svd(transform, compute_uv=False)
    if not 0.98 * scales[0] <= scales[1]:
        raise UsageError(f"{file}: {TRANSFORM} has pixels of {scales[0]:.4g} by {scales[1]:.4g} arcsec: no square grid")
    exposed = exposure[exposure > 0]
    noise = (float(np.median(background)), float(np.median(exposed)) if exposed.size else np.nan)
    area = (shape[1], shape[0]) if is_transposed(transform) else (shape[0], shape[1])
    return Description(area, float(np.sqrt(scales.prod())), transform, noise)


def oriented(image: NDArray[np.float32], transform: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return an image (height, width) whose axes are nearest to x and y of the angles."""
    steps = transform
    if is_transposed(transform):
        image, steps = image.T, transform[:, ::-1]
    rows = slice(None, None, -1 if steps[1, 1] < 0 else 1)
    columns = slice(None, None, -1 if steps[0, 0] < 0 else 1)
    return np.ascontiguousarray(image[rows, columns])


def is_transposed(transform: NDArray[np.float64]) -> bool:
    """Whether the first axis of the pixels is nearer to y of the angles than to x."""
    return bool(abs(transform[0, 1]) + abs(transform[1, 0]) > abs(transform[0, 0]) + abs(transform[1, 1]))


def rotation(transform: NDArray[np.float64]) -> float:
    """Return the rotation of an image after `oriented`, in degrees (-45 to 45)."""
    steps = transform[:, ::-1] if is_transposed(transform) else transform
    steps = steps * np.sign([steps[0, 0], steps[1, 1]])
    return degrees(atan2(steps[1, 0] - steps[0, 1], steps[0, 0] + steps[1, 1]))


def holds_image(file: Path) -> bool:
    """Whether a file has an image for lenstronomy."""
    import h5py

    try:
        with h5py.File(file, "r", locking=False) as items:
            return IMAGE in items and TRANSFORM in items
    except OSError:
        return False


@contextmanager
def opened(file: Path) -> Iterator[Any]:
    """Open a file, and report a fault in it with its name."""
    import h5py

    try:
        # Reading changes nothing, so it needs no lock.
        with h5py.File(file, "r", locking=False) as items:
            for name in (IMAGE, TRANSFORM):
                if name not in items:
                    raise UsageError(f"{file} has no {name}; lenstronomy-hdf5 takes {LenstronomyHdf5.accepts}")
            yield items
    except LenskitError:
        raise
    except FAULTS as error:
        message = f"{file} cannot be read: {' '.join(str(error).split())}"
        raise too_many_files(error) or LenskitError(message) from error


def values_of(file: Path, items: Any, name: str) -> NDArray[Any]:
    """Return the numbers of an item, as float64 or in the type of an image.

    Raises:
        LenskitError: They need more memory than the limit, or are no real numbers.
    """
    item = hdf5_item(items, name)
    if item.dtype.kind not in "iuf":
        raise LenskitError(f"{file}: {name} has the type {item.dtype}; it must have real numbers")
    check_bytes(file, item.nbytes, name)
    return np.asarray(item[()], None if name == IMAGE else np.float64)
