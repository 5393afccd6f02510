"""Real galaxies as sources: a folder of FITS or NumPy images of galaxies."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from lenskit.plugin import LenskitError, UsageError
from lenskit.toolbox import check_hdu, load_array, open_arrays, open_fits, too_many_files
from lenskit_datasets.fits_file import FAULTS, pixels_of
from lenskit_datasets.folders import FITS, has_ending, look_through
from lenskit_lensing.sources.preparation import Part, Prepared
from lenskit_lensing.sources.stamp_sources import SIZE, SMALLEST, StampSources, stamp_sources
from lenskit_lensing.sources.stamps import isolate

SUFFIXES = (*FITS, ".npy", ".npz")

PART = 256
"""Number of files, or of images of one .npy file, per part."""

SMALL = f"smaller than {SMALLEST} pixels"
BROKEN = "with NaN pixels"
EMPTY = "with no galaxy in the middle"
DARK = "with no light"


def load_stamps(folder: str | Path, *, clean: bool = False, size: int = SIZE) -> StampSources:
    """Load the images of galaxies in a folder, prepared as sources.

    Units and sizes may differ. The images are prepared once; the result is stored in `lenskit.plugin.cache_folder()`.

    Args:
        folder: A folder of files with an extension of `SUFFIXES`, or one such file. A FITS file has images in any of
            its HDUs, an .npz file in any of its arrays: each is (height, width), or a stack of such images.
        clean: Whether the images already show galaxies on an empty sky. If so, only negative pixels are changed.
            Otherwise sky, noise and neighbours are removed, as for COSMOS cutouts; the galaxy must be in the centre.
        size: Side of the prepared images in pixels. Larger galaxies are reduced.

    Returns:
        The galaxies in the order of the file names; `rows` counts all images.

    Raises:
        UsageError: There are no images, a file contains no images, or no image is usable.
    """
    if size < SMALLEST:
        raise UsageError(f"size={size}: it must be at least {SMALLEST}")
    paths = _paths(Path(folder))
    return stamp_sources(
        str(folder),
        list(_parts(paths, clean, size)),
        files=paths,
        cuts={"clean": clean},
        size=size,
        reasons=dict.fromkeys((SMALL, BROKEN, DARK if clean else EMPTY), 0),
    )


def _paths(folder: Path) -> list[Path]:
    """Return the files to read."""
    if folder.is_file():
        return [folder]
    if not folder.is_dir():
        raise UsageError(f"{folder}: no such folder; use a folder of FITS, .npy or .npz images of galaxies")
    listing = look_through(folder, depth=0)
    listing.tell(folder)
    if not (paths := listing.ending(SUFFIXES)):
        raise UsageError(f"{folder}: no images here; their files must end in {', '.join(SUFFIXES)}")
    return paths


def _parts(paths: list[Path], clean: bool, size: int) -> Iterator[Part]:
    """Yield several files at a time, or parts of a stack in an .npy file."""
    together: list[Path] = []
    for path in paths:
        images = _length(path)
        if images <= PART:
            together.append(path)
        if together and (images > PART or len(together) == PART):
            yield SomeFiles(tuple(together), clean, size)
            together = []
        if images > PART:
            yield from (PartOfStack(path, start, clean, size) for start in range(0, images, PART))
    if together:
        yield SomeFiles(tuple(together), clean, size)


def _length(path: Path) -> int:
    """Return the number of images in an .npy file by its header; one for other files."""
    if not has_ending(path, (".npy",)):
        return 1
    shape = _mapped(path).shape
    return shape[0] if len(shape) == 3 else 1


@dataclass(frozen=True)
class SomeFiles:
    """Files of images, for `preparation.each_prepared`.

    Args:
        paths: The files.
        clean: Whether galaxies are already on an empty sky.
        size: Side of the prepared images.
    """

    paths: tuple[Path, ...]
    clean: bool
    size: int

    def __len__(self) -> int:
        return len(self.paths)

    def __call__(self) -> Prepared:
        return _prepared((image for path in self.paths for image in _images(path)), self.clean, self.size)


@dataclass(frozen=True)
class PartOfStack:
    """`PART` images of an .npy file, from `start`; otherwise like `SomeFiles`."""

    path: Path
    start: int
    clean: bool
    size: int

    def __len__(self) -> int:
        return min(PART, _length(self.path) - self.start)

    def __call__(self) -> Prepared:
        stack = _checked(_mapped(self.path), self.path)
        return _prepared(iter(stack[self.start : self.start + PART]), self.clean, self.size)


def _prepared(images: Iterator[NDArray[Any]], clean: bool, size: int) -> Prepared:
    result = Prepared(size)
    for row, pixels in enumerate(images):
        result.seen += 1
        image = np.asarray(pixels, dtype=np.float64)
        if min(image.shape) < SMALLEST:
            result.left_out[SMALL] += 1
        elif not np.isfinite(image).all():
            result.left_out[BROKEN] += 1
        elif clean and not (image > 0).any():
            result.left_out[DARK] += 1
        elif (galaxy := np.maximum(image, 0) if clean else isolate(image)) is None:
            result.left_out[EMPTY] += 1
        else:
            result.add(row, galaxy)
    return result


def _images(path: Path) -> Iterator[NDArray[Any]]:
    """Yield the images of one file, (height, width) each."""
    if has_ending(path, (".npy",)):
        arrays = [_mapped(path)]
    else:
        try:
            arrays = _zipped(path) if has_ending(path, (".npz",)) else _in_hdus(path)
        except (*FAULTS, BadZipFile) as error:
            raise _unreadable(path, error) from error
    if not arrays:
        raise _unreadable(path)
    for array in arrays:
        yield from _checked(array, path)


def _mapped(path: Path) -> NDArray[Any]:
    try:
        return load_array(path)
    except (OSError, EOFError, ValueError) as error:
        raise _unreadable(path, error) from error


def _zipped(path: Path) -> list[NDArray[Any]]:
    with open_arrays(path) as arrays:
        return [arrays[name] for name in arrays.files]


def _in_hdus(path: Path) -> list[NDArray[Any]]:
    with open_fits(path, memmap=False, uint=False) as hdus:
        images = [hdu for hdu in hdus if hdu.is_image and math.prod(hdu.shape or (0,))]
        for hdu in images:
            check_hdu(path, hdu)
        return [pixels_of(hdus, hdu) for hdu in images]


def _unreadable(path: Path, error: Exception | None = None) -> LenskitError:
    instead = UsageError(f"{path}: no image can be read from it; use a FITS image or a numpy array")
    return (too_many_files(error) if error else None) or instead


def _checked(array: NDArray[Any], path: Path) -> NDArray[Any]:
    """Return an array of one or several images as a stack (k, height, width)."""
    if array.ndim not in (2, 3) or array.size == 0 or array.dtype.kind not in "iuf":
        raise UsageError(
            f"{path}: a {array.dtype} array of shape {array.shape}; it must have numbers, (height, width) or a stack of"
            " such images"
        )
    return array[None] if array.ndim == 2 else array
