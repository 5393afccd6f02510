"""Pixel size of images: read from FITS headers, compared, and changed."""

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
"""Relative difference up to which pixel sizes count as equal; a radius may be wrong by as much."""

SMALLEST, LARGEST = 1e-6, 600.0
"""Range of pixel sizes in arcsec, from intercontinental interferometers to a single dish."""

SCALE_KEYS = ("PIXSCALE", "PIXELSCL", "PIXELSCALE", "PIXEL_SCALE")
"""Header keys for the size of a pixel in arcsec, with or without coordinates."""

_WCS = ("CTYPE", "CUNIT", "CDELT", "CROTA")
_MATRICES = ("CD1_1", "CD1_2", "CD2_1", "CD2_2", "PC1_1", "PC1_2", "PC2_1", "PC2_2")
_KEYS = (*(f"{name}{axis}" for name in _WCS for axis in (1, 2)), *_MATRICES)
_STEPS = ("CDELT1", "CD1_1", "CD1_2", "PC1_1", "PC1_2")


class Unclear(ValueError):
    """Unclear pixel size in a header; the text can follow the name of the file."""


def pixel_scale_of(header: Mapping[str, Any]) -> float | None:
    """Return the size of a pixel in arcsec from a FITS header.

    It follows from the celestial coordinates, or else from a key such as PIXSCALE.

    Returns:
        The geometric mean of height and width; None if the header has neither or is unclear.
    """
    try:
        return stated_scale(header)
    except Unclear:
        return None


def stated_scale(header: Mapping[str, Any], keys_first: bool = False) -> float | None:
    """Return the size of a pixel in arcsec; raise if it is unclear.

    Args:
        header: A FITS header, or a part of it.
        keys_first: Whether a key such as PIXSCALE overrides coordinates, which may be invented in files of PSFs.

    Raises:
        Unclear: A card cannot be read, pixels are not square to 2 %, or no camera has this pixel size.
    """
    readers = (_by_coordinates, _by_key) if not keys_first else (_by_key, _by_coordinates)
    scale = next((scale for read in readers if (scale := read(header)) is not None), None)
    if scale is not None and not SMALLEST <= scale <= LARGEST:
        raise Unclear(f'its header gives pixels of {scale:.4g}", which no camera has')
    return scale


def scale_in(hdus: Iterable[Any], hdu: Any, keys_first: bool = False) -> float | None:
    """Return the pixel size of an HDU in arcsec, from its header or a second HDU.

    Args:
        hdus: All HDUs of the file. A second HDU counts if it has no pixels, such as a primary HDU with coordinates, or
            if it has the same size, such as a weight map.
        hdu: HDU with the pixels.
        keys_first: See `stated_scale`.

    Raises:
        Unclear: See `stated_scale`.
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
            raise Unclear(f"its header gives {key} = {value!r} as pixel scale; it must be a positive number of arcsec")
        return scale * _arcsec_in(header, key)
    return None


def _arcsec_in(header: Mapping[str, Any], key: str) -> float:
    """Return the unit of a pixel scale in arcsec; it is 1 without a unit.

    The unit is at the start of the key's comment, as in `[mas] size`.

    Raises:
        Unclear: The unit is not an angle, or the key counts pixels per arcsecond.
    """
    comment = header.comments[key] if isinstance(header, Header) else ""
    if re.search(r"(\bper|/)\s*arcs", comment, re.IGNORECASE):
        raise Unclear(f"its header gives {key} in pixels per arcsec; it must be in arcsec per pixel")
    if (stated := re.match(r"\s*\[([^\]]+)\]", comment)) is None:
        return 1.0
    unit = re.sub(r"\s*(/|\bper\b)\s*pix(el)?$", "", stated[1].strip(), flags=re.IGNORECASE)
    try:
        return float(Unit(unit_named("arcsec" if unit in ('"', "''") else unit)).to("arcsec"))
    except ValueError:
        raise Unclear(f"its header gives {key} in {shortened(unit)}, which is not an angle") from None


def _by_coordinates(header: Mapping[str, Any]) -> float | None:
    return _scale(tuple(_card(header, key) for key in _KEYS))


def _card(header: Mapping[str, Any], key: str) -> Any:
    """Return the value of a key; None if it is missing.

    Raises:
        Unclear: The card cannot be read, or is repeated with a different value.
    """
    try:
        if isinstance(header, Header) and (contradiction := repeated(header, [key])):
            raise Unclear(contradiction)
        value = header.get(key)
    except VerifyError:
        raise Unclear(f"its card {key} cannot be read") from None
    return None if isinstance(value, Undefined) else value


def _float(value: object) -> float | None:
    """Return the number of a card, which may be stored as text."""
    try:
        return None if isinstance(value, bool) else float(str(value).strip().upper().replace("D", "E"))
    except ValueError:
        return None


@lru_cache(maxsize=256)  # the files of a survey often have the same values
def _scale(values: tuple[Any, ...]) -> float | None:
    cards = {key: value for key, value in zip(_KEYS, values, strict=True) if value is not None}
    if not any(_float(cards.get(key)) for key in _STEPS):
        return None  # without these keys, the FITS standard has a pixel of one degree
    for key, value in cards.items():
        if key.startswith(("CTYPE", "CUNIT")):
            # Every projection keeps the scale at its centre, and some are invalid without further cards.
            cards[key] = re.sub(r"^(....-)[A-Z].*", r"\1TAN", str(value)) if key.startswith("CTYPE") else str(value)
        elif (number := _float(value)) is None or not isfinite(number):
            raise Unclear(f"its card {key} = {value!r} is not a number")
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
            return None  # axes that are not angles
        except (ValueError, TypeError, MemoryError):  # errors of wcslib
            raise Unclear("astropy.wcs cannot read its coordinates") from None
    scales = height, width
    area = abs(np.linalg.det((wcs.celestial if wcs.has_celestial else wcs).pixel_scale_matrix))
    if area * (1 + SAME) ** 2 < steps[0] * steps[1]:
        raise Unclear("its pixels are not square: their sides are not at right angles")
    if not min(scales) > 0 or max(scales) > (1 + SAME) * min(scales):
        raise Unclear(f'its pixels are not square: {height:.4g}" x {width:.4g}"')
    return sqrt(height * width)


def common_scale(scales: Sequence[float | None], names: Sequence[object]) -> float | None:
    """Return the pixel scale of all images; None if it is unknown for any image.

    Raises:
        UsageError: Two scales differ by more than 2 %.
    """
    stated = [(scale, name) for scale, name in zip(scales, names, strict=True) if scale is not None]
    if not stated:
        return None
    (least, small), (largest, large) = min(stated, key=lambda each: each[0]), max(stated, key=lambda each: each[0])
    if largest > (1 + SAME) * least:
        raise UsageError(
            f'{large} has pixels of {largest:.4g}", {small} of {least:.4g}": use resample={largest:.3g} to resample '
            "all images, or pixel_scale=ARCSEC if their headers are wrong"
        )
    return float(np.median([scale for scale, _ in stated])) if len(stated) == len(scales) else None


MOST_PIXELS = 1 << 14
"""Largest height and width of a resampled image; larger ones mean a wrong scale."""


def check_resampled(name: object, area: Sequence[int], scale: float, new: float) -> None:
    """Check that a resampled image has a reasonable size.

    Raises:
        UsageError: The image would have too many pixels, or none.
    """
    lengths = [length * scale / new for length in area]
    if max(lengths) > MOST_PIXELS or min(lengths) < 1:
        made = " x ".join(f"{length:.3g}" for length in lengths)
        raise UsageError(
            f'{name} has {by(area)} pixels of {scale:.4g}", which are {made} pixels of {new:.4g}": correct resample, '
            "or use pixel_scale=ARCSEC if its header is wrong"
        )


def resampled_length(length: int, ratio: float) -> int:
    """Return how many new pixels fit into `length` old pixels.

    An old pixel is `ratio` times as large as a new pixel.
    """
    return max(int(length * ratio + 1e-6), 1)


def regrid(image: NDArray[np.float32], ratio: float, size: int) -> NDArray[np.float32]:
    """Return the centre of an image, resampled to pixels of a different size.

    The centre stays the same. Each new pixel is a weighted mean of old pixels. The weights are a triangle with a width
    of two of the larger pixels. For smaller new pixels this is bilinear interpolation; for larger ones it prevents
    aliasing. Surface brightness is kept: the values, not their sum.

    Args:
        image: (..., height, width).
        ratio: Size of an old pixel divided by the size of a new pixel.
        size: Height and width of the result, in new pixels.
    """
    if abs(ratio - 1) < 1e-6:
        return image[..., *middle(image.shape[-2:], size)]
    rows, columns = (_weights(length, ratio, size) for length in image.shape[-2:])
    return np.asarray(rows @ image @ columns.T, np.float32)


def seen(area: Sequence[int], ratio: float, size: int) -> tuple[slice, slice]:
    """Return the rows and columns of an image that `regrid` uses, within a pixel."""
    return middle(area, min(ceil(size / ratio), *area))


@lru_cache(maxsize=64)
def _weights(length: int, ratio: float, size: int) -> NDArray[np.float32]:
    """Return the weight (size, length) of each old pixel in each new pixel."""
    centers = (length - 1) / 2 + (np.arange(size) - (size - 1) / 2) / ratio
    distance = np.abs(centers[:, None] - np.arange(length)) / max(1.0, 1 / ratio)
    weights = np.clip(1 - distance, 0, None)
    return (weights / weights.sum(1, keepdims=True)).astype(np.float32)
