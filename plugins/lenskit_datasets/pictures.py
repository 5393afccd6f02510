"""Pixels of PNG, JPEG and TIFF files at their full depth, up to 16 bits or floats."""

from __future__ import annotations

import logging
import math
import zlib
from importlib.util import find_spec
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lenskit.plugin import LenskitError, UsageError
from lenskit.toolbox import check_bytes
from lenskit_datasets.pixels import IN_MEMORY

logging.getLogger("tifffile").addHandler(logging.NullHandler())  # unreadable files become an error of one line

TIFF = (".tif", ".tiff")
OWN_CODECS = (1, 8, 32773, 32946, 34925)
"""TIFF compressions that tifffile reads without imagecodecs: none, deflate (twice), packbits and LZMA."""
CHANNELS = {"1": 1, "L": 1, "LA": 1, "I": 1, "I;16": 1, "I;16B": 1, "F": 1, "P": 3, "RGB": 3, "RGBA": 3}
"""Number of channels of Pillow's modes; transparency is not a channel."""
DEFLATE = (8, 32946)
"""TIFF's numbers of compression by zlib."""
SMALL = 2**16
"""Number of compressed bytes up to which a strip is not checked: zlib expands at most 1032 times."""
_LOCK = Lock()
"""Lock while Pillow's limit is off, which all threads share."""


def picture_shape(file: Path) -> tuple[int, int, int]:
    """Return channels, height and width, from the header.

    Raises:
        UsageError: The kind of picture is not supported.
        Exception: Of any type, if the file is damaged.
    """
    if file.suffix.lower() in TIFF:
        import tifffile

        with tifffile.TiffFile(file) as tiff:
            return _tiff_axes(file, tiff)[0]
    with _opened(file) as picture:
        if picture.mode not in CHANNELS:
            raise UsageError(f"{file} is a picture of mode {picture.mode}; grayscale and RGB are read")
        if _is_cut_down(picture):
            raise UsageError(
                f"{file} has 16 bits in each of several channels, and Pillow reads 8 of them: save it as TIFF or npy"
            )
        return CHANNELS[picture.mode], picture.height, picture.width


def picture_pixels(file: Path) -> NDArray[Any]:
    """Return the pixels (channels, height, width) in the type of the file.

    Raises:
        Exception: See `picture_shape`.
    """
    if file.suffix.lower() in TIFF:
        return _tiff_pixels(file)
    channels, height, width = picture_shape(file)
    check_bytes(file, 4 * channels * height * width, IN_MEMORY)
    return _by_pillow(file)[:channels]


def _by_pillow(file: Path) -> NDArray[Any]:
    with _opened(file) as picture:
        pixels = np.asarray(picture.convert("RGB") if picture.mode == "P" else picture)
    return pixels[None] if pixels.ndim == 2 else np.moveaxis(pixels, -1, 0)


def _opened(file: Path) -> Any:
    """Open a picture of any size without reading its pixels; Pillow's limit is off."""
    from PIL import Image

    with _LOCK:
        most, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            return Image.open(file)
        finally:
            Image.MAX_IMAGE_PIXELS = most


def _is_cut_down(picture: Any) -> bool:
    """Whether Pillow would read only 8 of 16 bits, as it does for several channels."""
    stored = picture.tile[0][3] if picture.tile else ""
    mode, _, bits = str(stored if isinstance(stored, str) else stored[0]).partition(";")
    return bits.startswith("16") and mode in ("LA", "RGB", "RGBA")


def _tiff_pixels(file: Path) -> NDArray[Any]:
    import tifffile

    with tifffile.TiffFile(file) as tiff:
        (channels, height, width), last = _tiff_axes(file, tiff)
        check_bytes(file, 4 * channels * height * width, IN_MEMORY)
        if not _has_codec(tiff.pages[0]):
            return _by_pillow(file)[:channels]
        _check_segments(file, tiff)
        pixels = tiff.pages[0].asarray()
    pixels = np.moveaxis(pixels, -1, 0) if last else pixels
    return pixels.reshape(-1, height, width)[:channels]


def _check_segments(file: Path, tiff: Any) -> None:
    """Check that no strip or tile exceeds the limit or expands beyond its size.

    tifffile has no limit when it decompresses zlib. Small strips cannot become large.
    """
    page = tiff.pages[0]
    size = math.prod(page.chunks) * page.dtype.itemsize
    check_bytes(file, size, "a strip or tile")
    if page.compression not in DEFLATE:
        return
    for offset, count in zip(page.dataoffsets, page.databytecounts, strict=True):
        if count > SMALL:
            tiff.filehandle.seek(offset)
            if len(zlib.decompressobj().decompress(tiff.filehandle.read(count), size + 1)) > size:
                raise LenskitError(f"{file} is damaged: a strip or tile expands to more than its {size} bytes")


def _tiff_axes(file: Path, tiff: Any) -> tuple[tuple[int, int, int], bool]:
    """Return channels, height, width of the only page, and whether channels are last."""
    import tifffile

    if len(tiff.pages) != 1:
        raise UsageError(f"{file} has {len(tiff.pages)} pages; pictures of one page are read")
    page = tiff.pages[0]
    samples, photometric, kinds = page.samplesperpixel, page.photometric, tifffile.PHOTOMETRIC
    # JPEGs store RGB as YCbCr, and every decoder returns RGB.
    read = (kinds.MINISBLACK, kinds.RGB, *([kinds.YCBCR] if page.compression == tifffile.COMPRESSION.JPEG else []))
    if samples not in (1, 2, 3, 4) or photometric not in read:
        raise UsageError(f"{file} has {samples} channels of the kind {photometric.name}; grayscale and RGB are read")
    if page.dtype is not None and page.dtype.kind not in "fiub":
        raise UsageError(f"{file} holds values of the type {page.dtype}; images are real numbers")
    if not _has_codec(page) and not _pillow_reads_all(file, page):
        raise UsageError(
            f"{file} is compressed as {tifffile.COMPRESSION(page.compression).name}, with {page.dtype} pixels, which "
            "needs another package: pip install imagecodecs"
        )
    last = samples > 1 and page.shape[-1] == samples and page.axes.endswith("S")
    return (1 if samples < 3 else 3, page.imagelength, page.imagewidth), last


def _has_codec(page: Any) -> bool:
    """Whether tifffile can decompress a page, alone or with imagecodecs."""
    return (page.compression in OWN_CODECS and page.predictor in (1, 2)) or find_spec("imagecodecs") is not None


def _pillow_reads_all(file: Path, page: Any) -> bool:
    """Whether Pillow, with its own codecs, reads a page at full depth and not rotated."""
    from PIL import Image, UnidentifiedImageError

    if str(page.dtype) not in ("uint8", "uint16", "int16", "int32", "float32") or page.tags.valueof(274, 1) != 1:
        return False
    try:
        with Image.open(file) as picture:
            return picture.mode in CHANNELS and not _is_cut_down(picture)
    except UnidentifiedImageError:
        return False
