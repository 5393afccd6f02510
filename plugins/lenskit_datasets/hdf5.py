"""Reader of images in one HDF5 file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
from annotated_types import Gt
from numpy.typing import NDArray
from torch import Tensor

from lenskit.plugin import LenskitError, UsageError, at_most
from lenskit.toolbox import Plan, check_bytes, coordinate_name, hdf5_item, too_many_files
from lenskit_datasets.formats.hdf5 import Hdf5Format
from lenskit_datasets.hdf5_labels import Label, Labels, is_dataset, is_there, told
from lenskit_datasets.pixels import common_shape
from lenskit_datasets.reader import Reader
from lenskit_datasets.simulated import Numbered, follow_plan

IMAGES = "images"
FAULTS = (OSError, RuntimeError, KeyError, ValueError, TypeError)
"""Exceptions that h5py raises for a damaged file."""


class Hdf5(Reader):
    """Lens images in an HDF5 file, from `lenskit simulate --format hdf5` or elsewhere.

    A file of lenskit needs no options. In other files the images are one data set with axes (lens, height, width),
    (lens, channel, height, width) or (lens, view, channel, height, width). Each parameter is a data set with one number
    for each lens, or for each of its views. Its unit is the attribute `units` (or `unit`), or else the unit in its
    name. `theta_E` is converted to arcsec; the default unit is arcsec. A data set with the attribute
    `identity` holds identity numbers. Texts and enumerations are class labels; an empty text, or a number without a
    class, is unknown. Whole numbers that float32 cannot hold are left out, unless they are identities.

    Nothing outside the file is read. The file is opened for each read.

    Args:
        path: Path of the file.
        images: Name of the data set of images, such as `train/images`. By default `images`, or the only data set with
            three to five axes.
        labels: Names of the data sets of parameters. By default all in the group of the images with one number or text
            for each lens.
        columns: Data sets of parameters that have different names in the file, such as `{theta_E = "b_SIE"}`.
        channels_last: Whether the last axis is the channel: (lens, height, width, channel).
        views: Whether the second of four axes is the view and not the channel: (lens, view, height, width).
        shared: Parameter groups that the stored views of a lens share. Parameters that differ between views belong to
            the group in their attribute `group`, or else to `image`.
        size: Height and width in pixels of the central part to use; by default the entire image.
        pixel_scale: Size of a pixel in arcsec, for files that were not made by lenskit.
    """

    accepts = "an HDF5 file, of `lenskit simulate --format hdf5` or with a data set of images"
    general = True

    def __init__(
        self,
        path: str | Path,
        *,
        images: str | None = None,
        labels: list[str] | None = None,
        columns: dict[str, str] | None = None,
        channels_last: bool = False,
        views: bool = False,
        shared: list[str] = ["lens"],  # noqa: B006 - an option's default is never changed
        size: Annotated[int, Gt(0), at_most(10**6)] | None = None,
        pixel_scale: Annotated[float, Gt(0)] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self._path, self._channels_last, self._size = Path(path), channels_last, size
        self._of_views = views
        self._values: dict[str, Tensor] = {}
        self._labels: list[Label] = []
        self._check_that_it_is_there()
        store = Hdf5Format(self._path)
        if images is None and labels is None and not columns and store.exists:
            self._follow_plan(Plan.from_attributes(store.attributes()), size)
        else:
            self.pixel_scale = pixel_scale
            with self._opened() as file:
                self._look(file, images, size, frozenset(shared))
                shapes = ((len(self),), (len(self), self.views))
                self._labels = Labels(self._path, file, self._images, shapes).find(labels, columns or {})
            self.parameters = [label.parameter for label in self._labels]

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Whether a path is an HDF5 file."""
        if not path.is_file():
            return False
        import h5py

        return bool(h5py.is_hdf5(path))

    def read(self, index: Sequence[int]) -> tuple[Tensor, dict[str, Tensor]]:
        """Read images and parameters; see `Dataset.read`.

        HDF5 reads in one thread at a time.

        Raises:
            LenskitError: The file is damaged (checksums are verified, if it has them), or a lens has no image.
        """
        wanted = np.asarray(index, np.int64)
        images = np.empty((len(wanted), self.views, *self.image_shape), np.float32)
        with self._opened() as file:
            stored = self._in_order(self._rows(hdf5_item(file, self._images), wanted)) if len(wanted) else ()
        for place, (number, views) in enumerate(zip(wanted, stored, strict=True)):
            name = f"{self._path}: {self._images}[{number}]"
            images[place] = self.clean(views, name, self.names[number], self._size)
        return torch.from_numpy(images), self.read_parameters(index)

    def read_parameters(self, index: Sequence[int]) -> dict[str, Tensor]:
        """Return parameters without reading images; see `Dataset.read_parameters`."""
        if len(self._values) < len(self._labels):
            with self._opened() as file:
                for label in self._labels:
                    self._values[label.parameter.name] = torch.from_numpy(label.read(self._path, file))
        wanted = torch.from_numpy(np.asarray(index, np.int64))
        return {parameter.name: self._values[parameter.name][wanted] for parameter in self.parameters}

    def _check_that_it_is_there(self) -> None:
        filling = Hdf5Format(self._path).filling.path
        if filling.is_dir() and not self._path.is_file():
            raise LenskitError(
                f"{self._path} is not finished, its parts are in {filling}: "
                f"finish it with: lenskit simulate --out {self._path}"
            )
        if not self._path.is_file():
            raise UsageError(f"there is no file {self._path}; hdf5 takes {self.accepts}")

    def _follow_plan(self, plan: Plan, size: int | None) -> None:
        follow_plan(self, plan, size)
        self.names, self._images, self._channels_last = Numbered(plan["lenses"]), IMAGES, False
        self._labels = [Label(coordinate_name(parameter), parameter) for parameter in plan.parameters]

    def _look(self, file: Any, images: str | None, size: int | None, shared: frozenset[str]) -> None:
        """Read the name, shape and type of the images from the file."""
        self._images = images or _only_images(self._path, file)
        if not is_there(file, self._images):
            raise UsageError(f"{self._path} has no data set {self._images}; it has {told(file)}")
        data = hdf5_item(file, self._images)
        if not is_dataset(data) or data.ndim not in (3, 4, 5) or data.dtype.kind not in "fiub":
            raise UsageError(f"{self._path}: {self._images} holds no images (lens, [view,] [channel,] height, width)")
        lenses, self.views, *shape = _axes(data.shape, self._channels_last, self._of_views)
        channels, height, width = shape
        if channels > min(height, width):
            raise UsageError(
                f"{self._path}: {self._images} has the axes {data.shape}, so {channels} channels of {height} x {width} "
                f"pixels: use channels_last={str(not self._channels_last).lower()} if that is wrong"
            )
        if not lenses:
            raise UsageError(f"{self._path}: {self._images} is empty: {data.shape}")
        if not data.is_virtual and not data.id.get_storage_size():
            raise UsageError(f"{self._path}: {self._images} {data.shape} has no values: none was ever written")
        check_bytes(self._path, 8 * lenses, f"one number for each lens of {self._images}")
        self.names = Numbered(lenses)
        self.image_shape = common_shape([(channels, height, width)], [f"{self._path}: {self._images}"], size)
        self.stored_as, self.shared_groups = data.dtype.name, shared if self.views > 1 else frozenset()
        # Rows that are compressed or checksummed together are read together.
        self.chunk = data.chunks[0] if data.chunks else 1

    def _rows(self, data: Any, wanted: NDArray[np.int64]) -> NDArray[Any]:
        """Return some rows of a data set, in any order; read adjacent rows at once.

        Raises:
            LenskitError: A row cannot be read; the message names the first.
        """
        rows, places = np.unique(wanted, return_inverse=True)
        parts = []
        for run in np.split(rows, np.flatnonzero(np.diff(rows) > 1) + 1):
            try:
                parts.append(data[run[0] : run[-1] + 1])
            except FAULTS:
                parts += [self._row(data, int(row)) for row in run]
        return np.concatenate(parts)[places]

    def _row(self, data: Any, row: int) -> NDArray[Any]:
        try:
            return data[row : row + 1]
        except FAULTS as error:
            raise LenskitError(f"{self._path}: {self._images}[{row}] cannot be read: {_told_by(error)}") from error

    def _in_order(self, stored: NDArray[Any]) -> NDArray[Any]:
        """Return images with the axes (n, views, channels, height, width)."""
        if self._channels_last and stored.ndim > 3:
            stored = np.moveaxis(stored, -1, -3)
        return stored.reshape(_axes(stored.shape, False, self._of_views))

    @contextmanager
    def _opened(self) -> Iterator[Any]:
        """Open the file for reading; convert exceptions to errors that name the file."""
        import h5py

        try:
            # Reading changes nothing, so it needs no lock, even if another process writes or the disk has no locks.
            with h5py.File(self._path, "r", locking=False) as file:
                yield file
        except LenskitError:
            raise
        except FAULTS as error:
            message = f"{self._path} cannot be read as HDF5: {_told_by(error)}"
            raise too_many_files(error) or LenskitError(message) from error


def _axes(shape: Sequence[int], channels_last: bool, of_views: bool) -> tuple[int, int, int, int, int]:
    """Return the numbers of lenses, views and channels, the height and the width."""
    if channels_last and len(shape) > 3:
        shape = (*shape[:-3], shape[-1], *shape[-3:-1])
    lenses, *rest = shape
    if of_views and len(rest) == 3:
        rest.insert(1, 1)
    views, channels, height, width = (1,) * (4 - len(rest)) + tuple(rest)
    return lenses, views, channels, height, width


def _only_images(path: Path, file: Any) -> str:
    """Return the default name of the data set of images."""
    if is_there(file, IMAGES) and is_dataset(hdf5_item(file, IMAGES)):
        return IMAGES
    names: list[str] = []
    file.visititems(lambda name, item: names.append(name) if is_dataset(item) and item.ndim in (3, 4, 5) else None)
    if len(names) != 1:
        raise UsageError(f"{path}: which data set holds the images? Name it: images=NAME; it has {told(file)}")
    return names[0]


def _told_by(error: Exception) -> str:
    return " ".join(str(error).split())
