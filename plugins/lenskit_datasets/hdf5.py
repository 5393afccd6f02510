"""Images in one HDF5 file."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
from annotated_types import Gt
from numpy.typing import NDArray
from torch import Tensor

from lenskit.plugin import Dataset, Hdf5Format, LenskitError, Parameter, Plan, UsageError, at_most, coordinate_name
from lenskit_datasets.pixels import Clean, common_shape
from lenskit_datasets.simulated import Numbered, follow_plan

log = logging.getLogger("lenskit")

IMAGES = "images"
NO_UNIT = ("1", "dimensionless", "none")
"""What files call the unit of a pure number."""

FAULTS = (OSError, RuntimeError, KeyError, ValueError, TypeError)
"""What h5py raises of a file that is damaged."""


class Hdf5(Dataset):
    """Lens images in an HDF5 file: one that `lenskit simulate --format hdf5` wrote, or any other.

    Of a file of ours nothing has to be said. Of any other, the images are one data set with axes (lens, height,
    width), (lens, channel, height, width) or (lens, view, channel, height, width), and each parameter is a data set
    with a number for each lens, or for each of its views. Its unit is the attribute `units` (or `unit`); `theta_E`
    without one is taken in arcsec. One with the attribute `identity` numbers things. Texts and enumerations are class
    labels; an empty text is not known. What is not finite among the pixels is filled, as `lenskit_datasets.fill` says.
    The file is opened whenever it is read.

    Args:
        path: The file.
        images: Name of the data set of images, such as `train/images`. By default `images`, or the only one with
            three to five axes.
        labels: Names of the data sets that are parameters. By default all in the group of the images that have a
            number, or a text, for each lens.
        columns: Parameters whose data sets are called otherwise, such as `{theta_E = "b_SIE"}`.
        channels_last: Whether the last axis is the channel: (lens, height, width, channel).
        views: Whether of four axes it is the view, not the channel, that is beside the lens: (lens, view, height,
            width).
        shared: Parameter groups that the stored views of a lens share. Parameters that differ between views are in
            the group that their attribute `group` names, or else in `image`.
        size: Height and width in pixels of the middle of each image that is used; by default all of it.
        pixel_scale: Size of a pixel in arcsec, where the file does not say what simulated it.
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
    ) -> None:
        self._path, self._channels_last, self._clean = Path(path), channels_last, Clean(size)
        self._of_views = views
        self._values: dict[str, Tensor] = {}
        self._known: dict[str, str] = {}
        """The data set of each parameter."""
        self._check_that_it_is_there()
        store = Hdf5Format(self._path)
        if images is None and labels is None and not columns and store.exists:
            self._follow_plan(Plan.from_attributes(store.attributes()), size)
        else:
            self.pixel_scale = pixel_scale
            with self._opened() as file:
                self._look(file, images, size, frozenset(shared))
                self._find_labels(file, labels, columns or {})

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Whether it is an HDF5 file."""
        if not path.is_file():
            return False
        import h5py

        return bool(h5py.is_hdf5(path))

    def read(self, index: Sequence[int]) -> tuple[Tensor, dict[str, Tensor]]:
        """See `Dataset.read`. HDF5 reads for one thread at a time.

        Raises:
            LenskitError: if the file is damaged (its checksums are verified where it has them), or a lens has no image.
        """
        wanted = np.asarray(index, np.int64)
        images = np.empty((len(wanted), self.views, *self.image_shape), np.float32)
        with self._opened() as file:
            stored = self._in_order(self._rows(file[self._images], wanted)) if len(wanted) else ()
        for place, (number, views) in enumerate(zip(wanted, stored, strict=True)):
            images[place] = self._clean(views, f"{self._path}: {self._images}[{number}]")
        return torch.from_numpy(images), self.read_parameters(index)

    def read_parameters(self, index: Sequence[int]) -> dict[str, Tensor]:
        """See `Dataset.read_parameters`; no image is read."""
        missing = [parameter for parameter in self.parameters if parameter.name not in self._values]
        if missing:
            with self._opened() as file:
                for parameter in missing:
                    values = _numbers(file[self._known[parameter.name]], parameter)
                    self._values[parameter.name] = torch.from_numpy(values)
        wanted = torch.from_numpy(np.asarray(index, np.int64))
        return {parameter.name: self._values[parameter.name][wanted] for parameter in self.parameters}

    def _check_that_it_is_there(self) -> None:
        filling = Hdf5Format(self._path).filling.path
        if filling.is_dir() and not self._path.is_file():
            raise LenskitError(
                f"{self._path} is still to be made, from what is in {filling}: "
                f"finish it with: lenskit simulate --out {self._path}"
            )
        if not self._path.is_file():
            raise UsageError(f"there is no file {self._path}; hdf5 takes {self.accepts}")

    def _follow_plan(self, plan: Plan, size: int | None) -> None:
        follow_plan(self, plan, size)
        self.names, self._images, self._channels_last = Numbered(plan["lenses"]), IMAGES, False
        self._known = {parameter.name: coordinate_name(parameter) for parameter in plan.parameters}

    def _look(self, file: Any, images: str | None, size: int | None, shared: frozenset[str]) -> None:
        """Takes name, shape and type of the images from the file."""
        self._images = images or _only_images(self._path, file)
        if self._images not in file:
            raise UsageError(f"{self._path} has no data set {self._images}; it has {_told(file)}")
        data = file[self._images]
        if not _is_dataset(data) or data.ndim not in (3, 4, 5) or data.dtype.kind not in "fiub":
            raise UsageError(f"{self._path}: {self._images} holds no images (lens, [view,] [channel,] height, width)")
        lenses, self.views, *shape = _axes(data.shape, self._channels_last, self._of_views)
        channels, height, width = shape
        if channels > min(height, width):
            raise UsageError(
                f"{self._path}: {self._images} has the axes {data.shape}, so {channels} channels of {height} x {width} "
                f"pixels: say channels_last={str(not self._channels_last).lower()} if that is wrong"
            )
        if not lenses:
            raise UsageError(f"{self._path}: {self._images} is empty: {data.shape}")
        self.names = Numbered(lenses)
        self.image_shape = common_shape([(channels, height, width)], [f"{self._path}: {self._images}"], size)
        self.stored_as, self.shared = data.dtype.name, shared if self.views > 1 else frozenset()
        # What is compressed or checksummed together is read together.
        self.chunk = data.chunks[0] if data.chunks else 1

    def _find_labels(self, file: Any, labels: list[str] | None, columns: Mapping[str, str]) -> None:
        """Which data sets are parameters."""
        chosen = {name.rpartition("/")[2]: self._beside(file, name) for name in labels or ()}
        if labels is None:
            names = [name for name in file[self._images].parent if name not in columns.values()]
            chosen = {name: full for name in names if self._may_be_label(file, full := self._beside(file, name))}
            self._tell_of_others(file, [self._beside(file, name) for name in names if name not in chosen])
        chosen |= {name: self._beside(file, column) for name, column in columns.items()}
        for name, full in chosen.items():
            if full not in file:
                raise UsageError(f"{self._path} has no data set {full} for {name}; it has {_told(file)}")
            if not self._may_be_label(file, full):
                raise UsageError(
                    f"{self._path}: {full} is no label: it has not a number, or a text, for each of {len(self)} lenses"
                )
        self._known = chosen
        self.parameters = [self._parameter(name, file[full]) for name, full in chosen.items()]

    def _tell_of_others(self, file: Any, names: Sequence[str]) -> None:
        """Warns of data sets that have something for each lens, but are no labels."""
        images, found = file[self._images], {name: file.get(name) for name in names}
        others = {
            n: d.shape for n, d in found.items() if _is_dataset(d) and d != images and d.shape[:1] == (len(self),)
        }
        if others:
            told = ", ".join(f"{name} {shape}" for name, shape in others.items())
            channels = self.image_shape[0]
            view = images.ndim == 4 and channels > 1 and (len(self), channels) in others.values()
            hint = f"; say views=true if {self._images} has {channels} views rather than channels" if view else ""
            log.warning("%s: no labels, for they have not one number, or text, a lens: %s%s", self._path, told, hint)

    def _beside(self, file: Any, name: str) -> str:
        """The full name of a data set, which may be named as it is called beside the images."""
        beside = f"{file[self._images].parent.name.strip('/')}/{name}".strip("/")
        return beside if beside in file else name

    def _may_be_label(self, file: Any, name: str) -> bool:
        data = file.get(name)  # nothing, of a link that leads nowhere
        if data is None or not _is_dataset(data):
            return False
        known = data.dtype.kind in "fiub" or _is_text(data)
        return known and data.shape in {(len(self),), (len(self), self.views)} and data.name != file[self._images].name

    def _parameter(self, name: str, data: Any) -> Parameter:
        unit = _text(data.attrs.get("units", data.attrs.get("unit", "arcsec" if name == "theta_E" else ""))).strip()
        unit = "" if unit.lower() in NO_UNIT else unit
        group = _text(data.attrs.get("group", "lens" if data.ndim == 1 else "image"))
        symbol = _text(data.attrs.get("long_name", r"$\theta_E$" if name == "theta_E" else ""))
        identity = bool(data.attrs.get("identity", False))
        return Parameter(name, unit, symbol, group, _classes(data), headline=name == "theta_E", identity=identity)

    def _rows(self, data: Any, wanted: NDArray[np.int64]) -> NDArray[Any]:
        """Some rows of a data set, in any order; neighbours are read at once.

        Raises:
            LenskitError: naming the first that cannot be read.
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
        """Images as (n, views, channels, height, width)."""
        if self._channels_last and stored.ndim > 3:
            stored = np.moveaxis(stored, -1, -3)
        return stored.reshape(_axes(stored.shape, False, self._of_views))

    @contextmanager
    def _opened(self) -> Iterator[Any]:
        """The file, open for reading; its faults are errors that name it."""
        import h5py

        try:
            # Others may write to it or not, on a disk that has locks or none: nothing is changed here.
            with h5py.File(self._path, "r", locking=False) as file:
                yield file
        except LenskitError:
            raise
        except FAULTS as error:
            raise LenskitError(f"{self._path} cannot be read as HDF5: {_told_by(error)}") from error


def _axes(shape: Sequence[int], channels_last: bool, of_views: bool) -> tuple[int, int, int, int, int]:
    """Lenses, views, channels, height and width."""
    if channels_last and len(shape) > 3:
        shape = (*shape[:-3], shape[-1], *shape[-3:-1])
    lenses, *rest = shape
    if of_views and len(rest) == 3:
        rest.insert(1, 1)
    views, channels, height, width = (1,) * (4 - len(rest)) + tuple(rest)
    return lenses, views, channels, height, width


def _only_images(path: Path, file: Any) -> str:
    """The data set of images, if none was named."""
    if IMAGES in file and _is_dataset(file[IMAGES]):
        return IMAGES
    found: list[str] = []
    file.visititems(lambda name, item: found.append(name) if _is_dataset(item) and item.ndim in (3, 4, 5) else None)
    if len(found) != 1:
        raise UsageError(f"{path}: which data set holds the images? Name it: images=NAME; it has {_told(file)}")
    return found[0]


def _told(file: Any) -> str:
    """The data sets that there are, and their shapes."""
    found: list[str] = []
    file.visititems(lambda name, item: found.append(f"{name} {item.shape}") if _is_dataset(item) else None)
    more = f" and {len(found) - 20} more" if len(found) > 20 else ""
    return (", ".join(found[:20]) or "none") + more


def _told_by(error: Exception) -> str:
    return " ".join(str(error).split())


def _is_dataset(item: Any) -> bool:
    import h5py

    return isinstance(item, h5py.Dataset)


def _is_text(data: Any) -> bool:
    import h5py

    return h5py.check_string_dtype(data.dtype) is not None


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _classes(data: Any) -> tuple[str, ...]:
    """Names of the classes of a label: of an enumeration by number, of texts by name; none for numbers."""
    import h5py

    if (numbers := h5py.check_enum_dtype(data.dtype)) is not None:
        return tuple(sorted(numbers, key=numbers.__getitem__))
    if _is_text(data):
        return tuple(filter(None, np.unique(data.asstr()[...].astype(str)).tolist()))
    return tuple(map(_text, data.attrs.get("classes", ())))


def _numbers(data: Any, parameter: Parameter) -> NDArray[np.float32]:
    """All values of a label; of a class its number."""
    import h5py

    if (numbers := h5py.check_enum_dtype(data.dtype)) is not None:
        return np.searchsorted(sorted(numbers.values()), data[...]).astype(np.float32)
    if _is_text(data):
        texts = data.asstr()[...].astype(str)
        numbered = np.searchsorted(np.asarray(parameter.classes, str), texts)
        return np.where(texts == "", np.nan, numbered).astype(np.float32)
    return data[...].astype(np.float32)
