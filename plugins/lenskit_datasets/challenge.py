"""Base class of readers of the Lens Finding Challenges."""

from __future__ import annotations

import logging
import os
import re
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import pi
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import torch
from annotated_types import Gt
from numpy.typing import NDArray
from torch import Tensor

from lenskit.plugin import LenskitError, Parameter, UsageError, at_most
from lenskit.toolbox import check_hdu
from lenskit_datasets.catalogue import Array, read_catalogue
from lenskit_datasets.fits_file import opened, pixels_of
from lenskit_datasets.folders import DEPTH, each_file, has_ending, look_through, stem
from lenskit_datasets.labels import as_float32, check_file
from lenskit_datasets.pixel_scale import check_resampled, regrid, resampled_length, seen
from lenskit_datasets.pixels import by
from lenskit_datasets.reader import Reader, check_contrast

log = logging.getLogger("lenskit")

Label = tuple[Parameter, Array]
"""Parameter and its values, NaN if unknown."""

ARCSEC = 180 * 3600 / pi
"""Arcseconds in a radian."""

FILE = re.compile(r"image(?P<band>[A-Za-z]+_[A-Za-z]+)-(?P<id>\d+)")
"""File names, without the ending of a FITS file."""


@dataclass(frozen=True)
class Band:
    """Band of a challenge: its files are `image<LABEL>-<ID>.fits`; scale in arcsec."""

    label: str
    pixel_scale: float


class Challenge(Reader):
    """Images of a Lens Finding Challenge and the labels of its catalogue.

    Args:
        path: Folder with the images.
        bands: Names of the bands, which become channels in this order.
        catalogue: CSV file, in the working directory or in the folder; by default the catalogue in the folder, if
            there is one.
        only_lenses: Whether to read only images that the catalogue calls a lens. Non-lenses have an area for theta_E
            too.
        theta_E: Conversion of the catalogue's area to theta_E: `area` is sqrt(area / pi), the radius of a circle with
            this area; `authors` is sqrt(area), 1.772 times as much, as LenSiam's authors use it.
        factor: Factor that multiplies the pixels, which are about 1e-11; LenSiam's authors used 1e9. It matters for
            `input.stretch=linear` only.
        size: Height and width in pixels of the central part to use; by default the entire image.
        resample: New pixel size in arcsec, before the central part is cut out. Use the pixel size of the images that a
            network was trained on. By default the largest pixel size of the bands.
    """

    known_bands: ClassVar[Mapping[str, Band]]
    catalogues: ClassVar[re.Pattern[str]]
    """Pattern of the names of catalogues."""

    def __init__(
        self,
        path: str | Path,
        bands: Sequence[str],
        *,
        catalogue: str | None = None,
        only_lenses: bool = False,
        theta_E: Literal["area", "authors"] = "area",
        factor: Annotated[float, Gt(0)] = 1.0,
        size: Annotated[int, Gt(0), at_most(10**6)] | None = None,
        resample: Annotated[float, Gt(0)] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self._root, self._theta_E, self._factor = Path(path), theta_E, factor
        if not self._root.is_dir():
            raise UsageError(f"there is no folder {path}; this reader takes {self.accepts}")
        if not bands or len(set(bands)) < len(bands):
            raise UsageError(
                f"bands must name each band once, of {', '.join(self.known_bands)}; got {', '.join(bands)!r}"
            )
        self._bands = [self.known_bands[band] for band in bands]
        self._files, tables = self._find()
        self._ids = self._complete()
        table = self._catalogue(catalogue, tables)
        self._labels: list[Label] = self._align(table, only_lenses) if table else []
        if only_lenses and not table:
            raise UsageError(f"only_lenses needs a catalogue, and there is none in {path}: use catalogue=FILE")
        self._values = {p.name: as_float32(values, f"{table}: {p.name}") for p, values in self._labels}
        self.parameters = [parameter for parameter, _ in self._labels]
        self.names = [str(number) for number in self._ids]
        self.pixel_scale = resample or max(band.pixel_scale for band in self._bands)
        self.image_shape = self._shape(size)

    @abstractmethod
    def labels(self, table: Mapping[str, Array]) -> list[Label]:
        """Return the labels of the lenses of a catalogue, including `is_lens`.

        Args:
            table: The columns, (n,) each.
        """

    def read(self, index: Sequence[int]) -> tuple[Tensor, dict[str, Tensor]]:
        """Read images and parameters; see `Dataset.read`.

        Raises:
            LenskitError: A file cannot be read, is smaller than the others, or has no image.
        """
        images = np.empty((len(index), 1, *self.image_shape), np.float32)
        for row, lens in zip(images, index, strict=True):
            for channel, band in zip(row[0], self._bands, strict=True):
                channel[:] = self._image(band, int(lens))
        return torch.from_numpy(images), self.read_parameters(index)

    def read_parameters(self, index: Sequence[int]) -> dict[str, Tensor]:
        """Return parameters without reading images; see `Dataset.read_parameters`."""
        wanted = np.asarray(index, int)
        return {name: torch.from_numpy(values[wanted]) for name, values in self._values.items()}

    def radius(self, area: Array) -> Label:
        """Return theta_E from an area in steradian; NaN if the area is not positive."""
        with np.errstate(invalid="ignore"):
            area = np.where(area > 0, area, np.nan)
        value = ARCSEC * np.sqrt(area / pi if self._theta_E == "area" else area)
        return Parameter("theta_E", "arcsec", r"$\theta_E$", headline=True), value

    def _find(self) -> tuple[dict[str, dict[int, str]], list[Path]]:
        """Return the file of each lens by band, and the catalogues."""
        files: dict[str, dict[int, str]] = {band.label: {} for band in self._bands}
        others: set[str] = set()
        tables = []
        there = look_through(self._root, DEPTH)
        there.tell(self._root)
        for file in there.files:
            parts = image_name(file)
            if parts is None:
                tables += [file] if self.catalogues.fullmatch(file.name) else []
            elif parts["band"] not in files:
                others.add(parts["band"])
            elif files[parts["band"]].setdefault(int(parts["id"]), str(file)) != str(file):
                raise UsageError(f"{file.name} is twice in {self._root}: open one of the folders that contain it")
        for label, of_band in files.items():
            if not of_band:
                bands = sorted(others | {other for other, lenses in files.items() if lenses})
                hint = f"; there are bands {', '.join(bands)}" if bands else f"; this reader takes {self.accepts}"
                raise UsageError(f"there is no image{label}-<ID>.fits in {self._root}{hint}")
        return files, sorted(tables)

    def _complete(self) -> list[int]:
        """Return the numbers of lenses with an image in each band, ascending."""
        of_bands = [set(files) for files in self._files.values()]
        complete, all_ = set.intersection(*of_bands), set.union(*of_bands)
        if not complete:
            raise UsageError(f"no lens in {self._root} has an image in each of the bands {', '.join(self._files)}")
        if len(complete) < len(all_):
            log.warning("%s: %d lenses lack a band and are left out", self._root, len(all_) - len(complete))
        return sorted(complete)

    def _catalogue(self, name: str | None, found: Sequence[Path]) -> Path | None:
        if name is not None:
            candidates = Path(name), self._root / name
            found = [path for path in candidates if path.is_file()][:1]
            if not found:
                for path in candidates:
                    check_file(path, "catalogue")
                raise UsageError(f"there is no catalogue {name}, neither in the working directory nor in {self._root}")
        if len(found) > 1:
            names = ", ".join(str(path.relative_to(self._root)) for path in found)
            raise UsageError(f"there are several catalogues in {self._root}: use catalogue=FILE, one of {names}")
        if not found:
            for path in self._root.iterdir():
                if self.catalogues.fullmatch(path.name):
                    check_file(path, "catalogue")
            log.info("%s has no catalogue: the images have no labels", self._root)
        return found[0] if found else None

    def _align(self, path: Path, only_lenses: bool) -> list[Label]:
        """Return the labels of images; with `only_lenses` remove images of non-lenses."""
        table = read_catalogue(path)
        row_of = {int(number): row for row, number in enumerate(table["ID"])}
        rows = np.array([row_of.get(number, -1) for number in self._ids])
        if (rows < 0).all():
            raise UsageError(f"{path} has no row for any of the images (such as {self._ids[0]})")
        without = len(row_of) - int((rows >= 0).sum())
        if without:
            log.warning("%s: %d of %d rows have no image and are left out", path, without, len(row_of))
        if (rows < 0).any():
            log.warning("%s has no row for %d of %d images, which have no labels", path, (rows < 0).sum(), len(rows))
        labels = [(p, np.where(rows < 0, np.nan, values[rows])) for p, values in self.labels(table)]
        if not only_lenses:
            return labels
        kept = next(values for p, values in labels if p.name == "is_lens") == 1
        if not kept.any():
            raise UsageError(f"{path} marks none of the images as a lens")
        self._ids = [number for number, keep in zip(self._ids, kept, strict=True) if keep]
        return [(p, values[kept]) for p, values in labels]

    def _shape(self, size: int | None) -> tuple[int, int, int]:
        """Return channels, height and width of an image, from the first lens's files."""
        files = [self._files[band.label][self._ids[0]] for band in self._bands]
        lengths = [self._length(band, file, _area(file)) for band, file in zip(self._bands, files, strict=True)]
        if size is not None and min(lengths) < size:
            raise UsageError(
                f'{files[int(np.argmin(lengths))]} has {by([min(lengths)] * 2)} pixels of {self.pixel_scale:g}", fewer '
                f"than size={size}: resample to smaller pixels, or use a smaller size"
            )
        return len(self._bands), size or min(lengths), size or min(lengths)

    def _length(self, band: Band, file: str, area: Sequence[int]) -> int:
        """Return height and width of a file's image in new pixels."""
        if len(area) != 2 or area[0] != area[1]:
            raise LenskitError(f"{file} has {by(area) or 'no'} pixels: the image must be square")
        ratio = self._ratio(band)
        check_resampled(file, area, band.pixel_scale, band.pixel_scale / ratio)
        return resampled_length(area[0], ratio)

    def _ratio(self, band: Band) -> float:
        assert self.pixel_scale is not None
        return band.pixel_scale / self.pixel_scale

    def _image(self, band: Band, lens: int) -> NDArray[np.float32]:
        """Return one band of a lens, (height, width), with filled and resampled pixels."""
        file = self._files[band.label][self._ids[lens]]
        with opened(file) as hdus:
            hdu = next((hdu for hdu in hdus if hdu.is_image and hdu.shape), None)
            if hdu is not None:
                check_hdu(file, hdu)
            pixels = np.empty(()) if hdu is None else np.array(pixels_of(hdus, hdu))
        size = self.image_shape[-1]
        length = self._length(band, file, pixels.shape)
        if length < size:
            raise LenskitError(
                f"{file} has {by(pixels.shape)} pixels, fewer than others: use size={length}, or remove it"
            )
        ratio = self._ratio(band)
        used = seen(pixels.shape, ratio, size)
        filled = self.undefined.fill(self.in_single_precision(pixels), file, self.names[lens], used)
        check_contrast(filled, file)
        return np.float32(self._factor) * regrid(filled, ratio, size)


def _area(file: str) -> tuple[int, ...]:
    """Return height and width of a file's image, from its header."""
    with opened(file) as hdus:
        return next((tuple(hdu.shape) for hdu in hdus if hdu.is_image and hdu.shape), ())


def image_name(file: str | Path) -> re.Match[str] | None:
    """Match a challenge's file name; the groups are `band` and `id`."""
    return FILE.fullmatch(stem(os.path.basename(file))) if has_ending(file) else None


def images_in(folder: Path) -> dict[Path, re.Match[str]]:
    """Return the images in a folder and its subfolders, with matches of their names."""
    return {Path(file): name for file in each_file(folder, 1) if (name := image_name(file))}
