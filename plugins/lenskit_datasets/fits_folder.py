"""Reader of FITS images: one file, a folder of files, or a folder for each lens."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
from annotated_types import Gt
from numpy.typing import NDArray
from torch import Tensor

from lenskit.plugin import LenskitError, UsageError, at_most
from lenskit_datasets.fits_file import opened, pixels_of, select_image
from lenskit_datasets.folders import (
    DEPTH,
    FITS,
    check_names,
    each_file,
    has_ending,
    look_through,
    matching,
    named,
    stem,
)
from lenskit_datasets.labels import LABELS, find_table, read_labels
from lenskit_datasets.pixel_scale import (
    Unclear,
    check_resampled,
    common_scale,
    regrid,
    resampled_length,
    scale_in,
    seen,
)
from lenskit_datasets.pixels import Shape, by, common_shape
from lenskit_datasets.reader import Reader

log = logging.getLogger("lenskit")

IMAGE = "image"
"""Name of an image, without its ending, in a folder that is named after the lens."""

NOISE = "noise.fits"
"""Default name of a noise map."""

NOT_GIVEN = "its header does not give it"
"""Reason for an unknown pixel scale if nothing in a header refers to one."""


class FitsFolder(Reader):
    """Lens images in FITS files, with their masks and labels.

    Possible paths are:

    ```
    slacs/                      a folder for each lens          lens.fits   one file
      labels.csv                name, theta_E_arcsec, ...       lenses/     a folder of files
      J0008-0004/image.fits                                       a.fits
      J0008-0004/noise.fits     1e5 and more: masked              b.fits.gz
    ```

    The name of a lens is the name of its file without the ending, or of its folder if the file is `image.fits`. An
    image has axes (height, width), or (channel, height, width) in numpy's order, and the lens in its centre. Masked
    pixels are undefined. At the start only headers are read; images are read when they are needed.

    Args:
        path: File or folder.
        pattern: Pattern of the image files in the folder, such as `*_F814W.fits` or `**/sci.fits`. By default
            `*/image.fits`, if there are any, else `image.fits`, else all FITS files in the folder. These end in .fits,
            .fit or .fts, in upper or lower case, and optionally in .gz or .fz after that.
        size: Height and width in pixels of the central part to use. By default the entire image; then all images must
            have the same size.
        labels: CSV file with labels. Its first column is the name of the lens, its numeric columns are parameters. By
            default `labels.csv` in the folder, if there is one.
        columns: Columns of parameters that have different names in the table, such as `{theta_E = "b_SIE"}`. A column
            whose name begins with `theta_E_` is found without this option. It is converted to arcsec if its name ends
            in a different unit of angles.
        noise: Name of the noise map in the folder of each image; empty to ignore noise maps. An image without a noise
            map has no mask.
        mask_above: Pixels with noise of at least this value, or NaN, are masked.
        hdu: Number or name of the extension with the image. By default the first extension with an image.
        pixel_scale: Size of a pixel in arcsec, for all images. By default it is read from each file's coordinates, if
            there are any.
        resample: New pixel size in arcsec, before the central part is cut out. Use the pixel size of the images that a
            network was trained on. Surface brightness is kept: the values, not their sum.
    """

    accepts = "a FITS file, a folder of FITS files, or a folder of folders each with an image.fits"
    general = True

    def __init__(
        self,
        path: str | Path,
        *,
        pattern: str | None = None,
        size: Annotated[int, Gt(0), at_most(10**6)] | None = None,
        labels: str | None = None,
        columns: dict[str, str] | None = None,
        noise: str = NOISE,
        mask_above: Annotated[float, Gt(0)] = 1e5,
        hdu: int | str | None = None,
        pixel_scale: Annotated[float, Gt(0)] | None = None,
        resample: Annotated[float, Gt(0)] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self._root, self._noise, self._mask_above, self._hdu = Path(path), noise, mask_above, hdu
        self._files = self._find(pattern)
        self.names = [self._name(file) for file in self._files]
        check_names(self._root, self.names)
        self._noise_of = self._noise_maps()
        if noise not in ("", NOISE) and not self._noise_of:
            raise UsageError(f"no image in {path} has a noise map {noise} in its folder")
        described = [self._describe(file) for file in self._files]
        stated = [(pixel_scale, "") if pixel_scale else (scale, why) for _, scale, why in described]
        scales = [scale for scale, _ in stated]
        self._ratios = self._to(resample, [shape for shape, *_ in described], stated)
        self.pixel_scale = resample or common_scale(scales, self._files)
        self._tell_of_unknown(stated)
        shapes = [
            (channels, resampled_length(height, ratio), resampled_length(width, ratio))
            for ((channels, height, width), *_), ratio in zip(described, self._ratios, strict=True)
        ]
        self.image_shape = common_shape(shapes, self._files, size)
        self._labels: NDArray[np.float32] = np.zeros((len(self.names), 0), np.float32)
        folder = self._root if self._root.is_dir() else self._root.parent
        table = find_table(folder, labels)
        if table is not None:
            self.parameters, self._labels = read_labels(table, self.names, columns or {})
        elif columns:
            raise UsageError(f"columns are given, but no table of labels: there is no {folder / LABELS}")

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Whether a path is a FITS file, or a folder with FITS files in one or two levels."""
        if path.is_dir():
            return any(_of_layouts(path, [Path(file) for file in each_file(path, 1) if has_ending(file)]))
        return path.is_file() and has_ending(path)

    def read(self, index: Sequence[int]) -> tuple[Tensor, dict[str, Tensor]]:
        """Read images and parameters; see `Dataset.read`.

        Raises:
            LenskitError: A file cannot be read, or has no image: all good pixels are equal, or no pixel is good.
        """
        images = np.stack([self._image(int(i)) for i in index]) if len(index) else np.zeros((0, *self.image_shape))
        return torch.from_numpy(images[:, None].astype(np.float32, copy=False)), self.read_parameters(index)

    def read_parameters(self, index: Sequence[int]) -> dict[str, Tensor]:
        """Return parameters without reading images; see `Dataset.read_parameters`."""
        labels = torch.from_numpy(self._labels[np.asarray(index, int)])
        return {parameter.name: labels[:, i] for i, parameter in enumerate(self.parameters)}

    def _find(self, pattern: str | None) -> list[Path]:
        """Return the image files, sorted by name."""
        if self._root.is_file():
            return [self._root]
        if not self._root.is_dir():
            raise UsageError(f"there is no file or folder {self._root}; fits-folder takes {self.accepts}")
        listing = matching(self._root, pattern) if pattern else look_through(self._root, depth=1)
        listing.tell(self._root)
        # A pattern that ends in * would also match tables and notes.
        there = listing.files if pattern and not pattern.endswith("*") else listing.ending(FITS)
        there = [file for file in there if not self._is_noise(file)]
        files = there if pattern else next(filter(None, _of_layouts(self._root, there)), [])
        if not files:
            wanted = f"no file of the pattern {pattern}" if pattern else "no FITS file"
            raise UsageError(f"there is {wanted} in {self._root}; {self._elsewhere()}")
        inner = [] if pattern else [file for file in there if file.parent != self._root]
        if inner and files[0].parent == self._root:
            log.info(
                "%s: %d FITS files in its folders are left out: %s", self._root, len(inner), named(self._root, inner)
            )
        return files

    def _elsewhere(self) -> str:
        """Return where FITS files are in subfolders; without any, the accepted paths."""
        deeper = [file for file in look_through(self._root, DEPTH).ending(FITS) if not self._is_noise(file)]
        if not deeper:
            return f"fits-folder takes {self.accepts}"
        first, of_folder = deeper[0], stem(deeper[0].name).lower() == IMAGE
        pattern = "/".join(["*"] * (len(first.relative_to(self._root).parts) - 1) + [f"{IMAGE}*" if of_folder else "*"])
        return (
            f"there are {len(deeper)} in folders in it, such as {first.relative_to(self._root)}: "
            f"open {first.parents[1 if of_folder else 0]}, or use pattern={pattern} for all of them"
        )

    def _is_noise(self, file: Path) -> bool:
        return bool(self._noise) and stem(file.name) == stem(self._noise)

    def _noise_maps(self) -> dict[Path, Path]:
        """Return the noise map of each folder that has one, with any FITS ending."""
        maps = {}
        for folder in {file.parent for file in self._files} if self._noise else ():
            there = [file for file in look_through(folder, depth=0).files if self._is_noise(file)]
            if there:
                maps[folder] = next((file for file in there if file.name == self._noise), there[0])
        return maps

    def _name(self, file: Path) -> str:
        relative = file.relative_to(self._root) if file != self._root else Path(file.name)
        if stem(file.name).lower() != IMAGE:
            return relative.with_name(stem(file.name)).as_posix()
        return relative.parent.as_posix() if relative.parent.name else file.resolve().parent.name

    def _to(
        self, resample: float | None, shapes: Sequence[Shape], stated: Sequence[tuple[float | None, str]]
    ) -> list[float]:
        """Return the ratio of old to new pixel size of each image."""
        if resample is None:
            return [1.0] * len(stated)
        ratios = []
        for file, (_, *area), (scale, why) in zip(self._files, shapes, stated, strict=True):
            if scale is None:
                raise UsageError(
                    f"{file} does not state its pixel size{f': {why}' if why else ''}: to resample, use "
                    "pixel_scale=ARCSEC"
                )
            check_resampled(file, area, scale, resample)
            ratios.append(scale / resample)
        return ratios

    def _tell_of_unknown(self, stated: Sequence[tuple[float | None, str]]) -> None:
        """Warn in one line if only some files state a pixel size, or a header is unclear."""
        unknown = [
            (file, why or NOT_GIVEN) for file, (scale, why) in zip(self._files, stated, strict=True) if scale is None
        ]
        if any(why for _, why in stated) or 0 < len(unknown) < len(stated):
            file, self.pixel_scale_unclear = min(unknown, key=lambda each: each[1] == NOT_GIVEN)
            log.warning(
                "%s: the pixel scale is unknown for %d of %d images, such as %s: %s; set pixel_scale, in arcsec",
                self._root, len(unknown), len(stated), file.name, self.pixel_scale_unclear,
            )  # fmt: skip

    def _describe(self, file: Path) -> tuple[Shape, float | None, str]:
        """Return a file's image shape, its pixel size, and why the size is unclear."""
        scale, why = None, ""
        with opened(file) as hdus:
            hdu = select_image(file, hdus, self._hdu)
            shape = tuple(hdu.shape)
            try:
                scale = scale_in(hdus, hdu)
            except Unclear as error:
                why = str(error)
        while len(shape) > 3 and shape[0] == 1:
            shape = shape[1:]
        if len(shape) not in (2, 3):
            raise UsageError(f"{file}: an image has 2 axes, or 3 with channels first, not {len(shape)}: {shape}")
        channels, height, width = (1, *shape)[-3:]
        if channels > min(height, width):
            raise UsageError(f"{file}: channels must be the first axis, but the axes are {shape} in numpy's order")
        return (channels, height, width), scale, why

    def _image(self, index: int) -> NDArray[np.float32]:
        """Return one image (channels, height, width), filled and cut out."""
        file = self._files[index]
        with opened(file) as hdus:
            image = self.in_single_precision(pixels_of(hdus, select_image(file, hdus, self._hdu)))
        image = image.reshape(-1, *image.shape[-2:])
        image[self._mask(file, image.shape)] = np.nan
        ratio, size = self._ratios[index], self.image_shape[-1]
        middle = seen(image.shape[-2:], ratio, size)
        for channel, pixels in enumerate(image[..., *middle]):
            good = pixels[np.isfinite(pixels)]
            if not good.size or np.ptp(good) == 0:
                why = f"all good pixels are {good[0]:g}" if good.size else "all pixels are masked or undefined"
                where = f" in channel {channel}" if len(image) > 1 else ""
                raise LenskitError(f"{file} holds no image{where}: {why} in the middle {by(pixels.shape)}")
        name = self.names[index]
        return regrid(self.undefined.fill(image, name, name, middle), ratio, size)

    def _mask(self, file: Path, shape: tuple[int, ...]) -> NDArray[np.bool_]:
        """Return the mask of an image, of its shape: True where its noise map masks it."""
        path = self._noise_of.get(file.parent)
        if path is None:
            return np.zeros(shape, bool)
        with opened(path) as hdus, np.errstate(over="ignore"):
            noise = np.array(pixels_of(hdus, select_image(path, hdus)), np.float32)
        if noise.shape[-2:] != shape[-2:]:
            raise LenskitError(f"{path} has {by(noise.shape[-2:])} pixels, its image {by(shape[-2:])}")
        with np.errstate(invalid="ignore"):
            return np.broadcast_to(~(noise < self._mask_above), shape)


def _of_layouts(root: Path, files: Sequence[Path]) -> Iterator[list[Path]]:
    """Yield the image files of a folder for each layout, the preferred one first."""
    called = [file for file in files if stem(file.name).lower() == IMAGE]
    yield [file for file in called if file.parent != root]
    yield [file for file in called if file.parent == root]
    yield [file for file in files if file.parent == root]
