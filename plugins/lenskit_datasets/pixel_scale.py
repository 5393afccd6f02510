"""The size of pixels: read from a FITS header, compared, and changed."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from math import ceil, inf, isfinite, sqrt
from typing import Any

import numpy as np
from astropy.io.fits import Header, VerifyError
from astropy.io.fits.card import Undefined
from astropy.units import Unit, UnitsError
from astropy.utils.exceptions import AstropyWarning
from astropy.wcs import WCS
from astropy.wcs.utils import proj_plane_pixel_scales
from numpy.typing import NDArray

from lenskit.plugin import UsageError
from lenskit.toolbox import repeated, shortened, unit_named
from lenskit_datasets.pixels import by, middle

SAME = 0.02
"""Pixels whose sizes differ by no more than this part count as equal: so much a radius may be wrong by."""

SMALLEST, LARGEST = 1e-6, 600.0
"""Pixels in arcsec of all images there are: those of interferometers a world apart, and of a single dish."""

SCALE_KEYS = ("PIXSCALE", "PIXELSCL", "PIXELSCALE", "PIXEL_SCALE")
"""Keys by which headers give the size of a pixel in arcsec, beside coordinates or without."""

_WCS = ("CTYPE", "CUNIT", "CDELT", "CROTA")
_MATRICES = ("CD1_1", "CD1_2", "CD2_1", "CD2_2", "PC1_1", "PC1_2", "PC2_1", "PC2_2")
_KEYS = (*(f"{name}{axis}" for name in _WCS for axis in (1, 2)), *_MATRICES)
_STEPS = ("CDELT1", "CD1_1", "CD1_2", "PC1_1", "PC1_2")


class Unclear(ValueError):
    """A header speaks of the size of pixels, but does not say it: why, in words that follow its file's name."""


def pixel_scale_of(header: Mapping[str, Any]) -> float | None:
    """The size of a pixel in arcsec, by the celestial coordinates of a FITS header, or else by a key such as PIXSCALE.

    Returns:
        The geometric mean of height and width; nothing if the header has neither, or it is unclear.
    """
    try:
        return stated_scale(header)
    except Unclear:
        return None


def stated_scale(header: Mapping[str, Any], keys_first: bool = False) -> float | None:
    """As `pixel_scale_of`.

    Args:
        header: A FITS header, or a part of it.
        keys_first: Whether a key such as PIXSCALE counts more than coordinates: in files of PSFs these may be made up.

    Raises:
        Unclear: if a card cannot be read, pixels are not square to 2 %, or no camera has such.
    """
    readers = (_by_coordinates, _by_key) if not keys_first else (_by_key, _by_coordinates)
    scale = next((scale for read in readers if (scale := read(header)) is not None), None)
    if scale is not None and not SMALLEST <= scale <= LARGEST:
        raise Unclear(f'its header gives pixels of {scale:.4g}", which no camera has')
    return scale


def scale_in(hdus: Iterable[Any], hdu: Any, keys_first: bool = False) -> float | None:
    """The size of the pixels of an HDU in arcsec, by its header, or by that of another HDU that is about them.

    Args:
        hdus: All of the file. The primary HDU, say, has coordinates and no pixels; or a weight map of the same size.
        hdu: The one that holds the pixels.
        keys_first: See `stated_scale`.

    Raises:
        Unclear: see `stated_scale`.
    """
    scale = stated_scale(hdu.header, keys_first)
    if scale is None:
        others = (o for o in hdus if o is not hdu and o.is_image and (not o.shape or o.shape[-2:] == hdu.shape[-2:]))
        scale = next((stated for o in others if (stated := stated_scale(o.header, keys_first)) is not None), None)
    return scale


def _by_key(header: Mapping[str, Any]) -> float | None:
    values = {key: value for key in SCALE_KEYS if (value := _card(header, key)) is not None}
    for key, value in values.items():
        if (scale := _float(value)) is None or not 0 < scale < inf:
            raise Unclear(f"its header gives {key} = {value!r} as pixel scale; a positive number of arcsec is right")
        return scale * _arcsec_in(header, key)
    return None


def _arcsec_in(header: Mapping[str, Any], key: str) -> float:
    """Arcseconds in the unit that the comment of a pixel scale begins with, as `[mas] size`; 1 if it says none.

    Raises:
        Unclear: if that is no angle, or pixels are counted in an arcsecond.
    """
    comment = header.comments[key] if isinstance(header, Header) else ""
    if re.search(r"(\bper|/)\s*arcs", comment, re.IGNORECASE):
        raise Unclear(f"its header gives {key} in pixels per arcsec; arcsec per pixel is right")
    if (stated := re.match(r"\s*\[([^\]]+)\]", comment)) is None:
        return 1.0
    unit = re.sub(r"\s*(/|\bper\b)\s*pix(el)?$", "", stated[1].strip(), flags=re.IGNORECASE)
    try:
        return float(Unit(unit_named("arcsec" if unit in ('"', "''") else unit)).to("arcsec"))
    except ValueError:
        raise Unclear(f"its header gives {key} in {shortened(unit)}, which is no angle") from None


def _by_coordinates(header: Mapping[str, Any]) -> float | None:
    return _scale(tuple(_card(header, key) for key in _KEYS))


def _card(header: Mapping[str, Any], key: str) -> Any:
    """The value of a key; nothing if there is none.

    Raises:
        Unclear: if it cannot be read, or is repeated with another value.
    """
    try:
        if isinstance(header, Header) and (contradiction := repeated(header, [key])):
            raise Unclear(contradiction)
        value = header.get(key)
    except VerifyError:
        raise Unclear(f"its card {key} cannot be read") from None
    return None if isinstance(value, Undefined) else value


def _float(value: object) -> float | None:
    """The number that a card gives, as a number or in a text."""
    try:
        return None if isinstance(value, bool) else float(str(value).strip().upper().replace("D", "E"))
    except ValueError:
        return None


@lru_cache(maxsize=256)  # many files of one survey have the same
def _scale(values: tuple[Any, ...]) -> float | None:
    cards = {key: value for key, value in zip(_KEYS, values, strict=True) if value is not None}
    if not any(_float(cards.get(key)) for key in _STEPS):
        return None  # where nothing is said, FITS has a pixel of one degree
    for key, value in cards.items():
        if key.startswith(("CTYPE", "CUNIT")):
            # Every projection keeps the scale at its centre, and some are no good without further cards.
            cards[key] = re.sub(r"^(....-)[A-Z].*", r"\1TAN", str(value)) if key.startswith("CTYPE") else str(value)
        elif (number := _float(value)) is None or not isfinite(number):
            raise Unclear(f"its card {key} = {value!r} is no number")
        else:
            cards[key] = number
    if ("CDELT1" in cards) != ("CDELT2" in cards) and not any(key.startswith(("CD1", "CD2")) for key in cards):
        raise Unclear("its header has CDELT1 or CDELT2, but not both")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AstropyWarning)
        try:
            wcs = WCS(Header(cards), naxis=2)
            steps = proj_plane_pixel_scales(wcs.celestial if wcs.has_celestial else wcs)
            units = ["deg", "deg"] if wcs.has_celestial else [str(unit) for unit in wcs.wcs.cunit]
            height, width = (Unit(unit).to("arcsec") * step for unit, step in zip(units, steps, strict=True))
        except UnitsError:
            return None  # axes that are no angles
        except (ValueError, TypeError, MemoryError):  # errors of wcslib
            raise Unclear("its coordinates are none that astropy.wcs can read") from None
    scales = height, width
    area = abs(np.linalg.det((wcs.celestial if wcs.has_celestial else wcs).pixel_scale_matrix))
    if area * (1 + SAME) ** 2 < steps[0] * steps[1]:
        raise Unclear("its pixels are not square: their sides are not at right angles")
    if not min(scales) > 0 or max(scales) > (1 + SAME) * min(scales):
        raise Unclear(f'its pixels are not square: {height:.4g}" x {width:.4g}"')
    return sqrt(height * width)


def common_scale(scales: Sequence[float | None], names: Sequence[object]) -> float | None:
    """The scale that all images have: nothing if it is not known of one.

    Raises:
        UsageError: if two differ by more than 2 %.
    """
    stated = [(scale, name) for scale, name in zip(scales, names, strict=True) if scale is not None]
    if not stated:
        return None
    (least, small), (largest, large) = min(stated, key=lambda each: each[0]), max(stated, key=lambda each: each[0])
    if largest > (1 + SAME) * least:
        raise UsageError(
            f'{large} has pixels of {largest:.4g}", {small} of {least:.4g}": say resample={largest:.3g} to bring all '
            "to that, or pixel_scale if their headers are wrong"
        )
    return float(np.median([scale for scale, _ in stated])) if len(stated) == len(scales) else None


MOST_PIXELS = 1 << 14
"""Of an image a side, once it is resampled: more are a wrong scale."""


def check_resampled(name: object, area: Sequence[int], scale: float, new: float) -> None:
    """Refuses to make images that no memory holds.

    Raises:
        UsageError: if an image of so many pixels of the size `scale` has too many, or none, of the size `new`.
    """
    lengths = [length * scale / new for length in area]
    if max(lengths) > MOST_PIXELS or min(lengths) < 1:
        made = " x ".join(f"{length:.3g}" for length in lengths)
        raise UsageError(
            f'{name} has {by(area)} pixels of {scale:.4g}", which are {made} pixels of {new:.4g}": correct resample, '
            "or say pixel_scale if its header is wrong"
        )


def resampled_length(length: int, ratio: float) -> int:
    """How many new pixels there is room for in a number of old ones, whose size is `ratio` times that of the new."""
    return max(int(length * ratio + 1e-6), 1)


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
