"""The size of pixels: read from a FITS header, compared, and changed."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from functools import lru_cache
from math import ceil
from typing import Any

import numpy as np
from astropy.wcs import WCS, FITSFixedWarning
from astropy.wcs.utils import proj_plane_pixel_scales
from numpy.typing import NDArray

from lenskit.plugin import UsageError
from lenskit_datasets.pixels import middle

LONGEST = 16384
"""Pixels across a resampled image, at most: a gigabyte each."""

SAME = 0.02
"""Pixels whose sizes differ by no more than this part count as equal: so much a radius may be wrong by."""

_WCS = ("CTYPE", "CUNIT", "CDELT", "CROTA")
_MATRICES = ("CD1_1", "CD1_2", "CD2_1", "CD2_2", "PC1_1", "PC1_2", "PC2_1", "PC2_2")
_KEYS = (*(f"{name}{axis}" for name in _WCS for axis in (1, 2)), *_MATRICES)


def pixel_scale_of(header: Mapping[str, Any]) -> float | None:
    """The size of a pixel in arcsec, by the celestial coordinates of a FITS header.

    Returns:
        The geometric mean of height and width; nothing if the header has no coordinates on the sky, or pixels that
        are not square to 2 %.
    """
    return _scale(tuple(header.get(key) for key in _KEYS))


@lru_cache(maxsize=256)  # many files of one survey have the same
def _scale(values: tuple[Any, ...]) -> float | None:
    cards = {key: value for key, value in zip(_KEYS, values, strict=True) if value is not None}
    if not any(cards.get(key) for key in ("CDELT1", "CD1_1", "CD1_2")):
        return None  # where nothing is said, FITS has a pixel of one degree
    for key in ("CTYPE1", "CTYPE2"):
        cards[key] = str(cards.get(key, "")).removesuffix("-SIP")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FITSFixedWarning)
        try:
            wcs = WCS(cards)
            if not wcs.has_celestial:
                return None
            scales = 3600 * proj_plane_pixel_scales(wcs.celestial)
        except (ValueError, TypeError, MemoryError):  # what wcslib makes of nonsense
            return None
    if not np.isfinite(scales).all() or scales.min() <= 0 or scales.max() > (1 + SAME) * scales.min():
        return None
    return float(np.sqrt(scales.prod()))


def common_scale(scales: Sequence[float | None], names: Sequence[object]) -> float | None:
    """The scale that all images have: nothing if it is not known of one.

    Raises:
        UsageError: if two differ by more than 2 %.
    """
    known = [(scale, name) for scale, name in zip(scales, names, strict=True) if scale is not None]
    if not known:
        return None
    (least, small), (largest, large) = min(known, key=lambda each: each[0]), max(known, key=lambda each: each[0])
    if largest > (1 + SAME) * least:
        raise UsageError(
            f'{large} has pixels of {largest:.4g}", {small} of {least:.4g}": say resample={largest:.3g} to bring all '
            "to that, or pixel_scale if their headers are wrong"
        )
    return float(np.median([scale for scale, _ in known])) if len(known) == len(scales) else None


def resampled_length(length: int, ratio: float) -> int:
    """How many new pixels there is room for in a number of old ones, whose size is `ratio` times that of the new."""
    return max(int(length * ratio + 1e-6), 1)


def check_resampled(shape: tuple[int, int, int]) -> None:
    """Raise if resampled images (channels, height, width) are too large for any memory.

    Raises:
        UsageError: saying which options to change.
    """
    if max(shape) > LONGEST:
        raise UsageError(
            f"resampled images have {max(shape):.3g} pixels across, above {LONGEST}: use a larger resample, a size, or "
            "another pixel_scale if that is wrong"
        )


def regrid(image: NDArray[np.float32], ratio: float, size: int) -> NDArray[np.float32]:
    """The middle of an image, with pixels of another size.

    New pixels lie about the same centre. Each is a mean of old ones, with the weights of a triangle that is two of the
    larger pixels wide: bilinear interpolation where pixels become smaller, and where they become larger such that
    nothing aliases. It is surface brightness that is kept: values, and not their sum.

    Args:
        image: (..., height, width).
        ratio: Size of an old pixel over that of a new one.
        size: Height and width that come out, in new pixels.
    """
    if abs(ratio - 1) < 1e-6:
        return image[..., *middle(image.shape[-2:], size)]
    rows, columns = (_weights(length, ratio, size) for length in image.shape[-2:])
    return np.asarray(rows @ image @ columns.T, np.float32)


def seen(area: Sequence[int], ratio: float, size: int) -> tuple[slice, slice]:
    """The part of an image that `regrid` uses, to a pixel."""
    return middle(area, min(ceil(size / ratio), *area))


@lru_cache(maxsize=64)
def _weights(length: int, ratio: float, size: int) -> NDArray[np.float32]:
    """The weight of each old pixel in each new one, (size, length)."""
    centers = (length - 1) / 2 + (np.arange(size) - (size - 1) / 2) / ratio
    distance = np.abs(centers[:, None] - np.arange(length)) / max(1.0, 1 / ratio)
    weights = np.clip(1 - distance, 0, None)
    return (weights / weights.sum(1, keepdims=True)).astype(np.float32)
