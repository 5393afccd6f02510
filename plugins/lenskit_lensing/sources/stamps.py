"""Conversion of a survey cutout to the image of one galaxy on an empty sky.

The noise of the sky, neighbours and the outline of the cutout must be removed. They would be magnified with the galaxy,
and a network could infer the lens from them.
"""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from scipy import ndimage
from scipy.optimize import brentq

Image = NDArray[np.floating]
Mask = NDArray[np.bool_]

BORDER = 3
"""Width in pixels of the border in which the sky is measured."""

SMOOTHING = 2.0
"""Standard deviation in pixels of the Gaussian for detection."""

THRESHOLD = 1.5
"""Detection threshold in standard deviations of the smoothed sky."""

SPUR = 3.0
"""Standard deviation in pixels of the Gaussian that smooths the outline of a galaxy."""

BLEND = 0.1
"""Standard deviation, as a fraction of the side, of the Gaussian blur whose separate peaks are separate galaxies."""

SKIRT = 0.1
"""Distance from a galaxy at which its light has faded out, as a fraction of the side."""

TAPER = 0.15
"""Fraction of the side, at either end, over which the whole cutout fades out."""

SCALES = (1.0, 2.0, 4.0, 8.0)
"""Standard deviations in pixels of the Gaussians for separating details from noise."""

SIGNIFICANT = 5.0
"""Power of details, relative to the sky at the same scale, above which details are partly kept."""

MAD_TO_SIGMA = 1.4826


def isolate(stamp: Image) -> Image | None:
    """Isolate the galaxy in the centre of a cutout.

    Args:
        stamp: (height, width), finite.

    Returns:
        The same pixels without sky, neighbours and noise: no pixel is negative, and border pixels are zero. None if
        there is no galaxy in the centre.
    """
    sky = np.ones(stamp.shape, dtype=bool)
    sky[BORDER:-BORDER, BORDER:-BORDER] = False
    image = stamp - np.median(stamp[sky])
    galaxy, others = _segments(image, sky)
    if not galaxy.any():
        return None
    image[others] = 0
    skirt = SKIRT * min(image.shape)
    fade = _cosine(1 - ndimage.distance_transform_edt(~galaxy) / skirt)
    if others.any():
        fade *= _cosine(ndimage.distance_transform_edt(~others) / skirt)
    fade = ndimage.gaussian_filter(fade, skirt / 3, truncate=1.5) * np.outer(*map(_taper, image.shape))
    kept = np.maximum(_denoised(image, sky), 0) * fade
    return kept if kept.any() else None


def _segments(image: Image, sky: Mask) -> tuple[Mask, Mask]:
    """Return the pixels of the central object, and those of all other objects.

    Objects are pixels that exceed the noise of the sky after smoothing.
    """
    smooth = ndimage.gaussian_filter(image, SMOOTHING)
    bright = smooth > THRESHOLD * _sigma(smooth[sky])
    objects, _ = ndimage.label(ndimage.gaussian_filter(bright.astype(float), SPUR) > 0.5)
    # Valleys of a smoothed image separate touching objects. In this image the clumps of a galaxy form one peak.
    peaks = _peaks(ndimage.gaussian_filter(image, BLEND * min(image.shape)))
    objects = np.where(objects > 0, objects * image.size + peaks, 0)
    y, x = (length // 2 for length in image.shape)
    middle = objects[y - 2 : y + 3, x - 2 : x + 3]
    names, pixels = np.unique(middle[middle > 0], return_counts=True)
    galaxy = objects == names[pixels.argmax()] if names.size else np.zeros(image.shape, dtype=bool)
    return galaxy, (objects > 0) & ~galaxy


def _peaks(image: Image) -> NDArray[np.int64]:
    """Return for each pixel the flat index of the peak reached by steepest ascent."""
    around = sliding_window_view(np.pad(image, 1, constant_values=-np.inf), (3, 3))
    step_y, step_x = np.divmod(around.reshape(*image.shape, 9).argmax(-1), 3)
    y, x = np.indices(image.shape)
    uphill = ((y + step_y - 1) * image.shape[1] + x + step_x - 1).ravel()
    while (uphill[uphill] != uphill).any():
        uphill = uphill[uphill]
    return uphill.reshape(image.shape)


def _denoised(image: Image, sky: Mask) -> Image:
    """Remove details that are consistent with noise, scale by scale.

    The image is split into differences of Gaussians, as with wavelets. The noise of each difference is measured in the
    sky, so correlated noise is allowed. Each difference is weighted by the fraction of signal in the power around a
    pixel, as in a Wiener filter. A compact core and the trough around it have the same weight, so light stays in place.
    """
    fine, kept = image, np.zeros_like(image)
    for scale in SCALES:
        coarse = ndimage.gaussian_filter(image, scale)
        detail = fine - coarse
        power = ndimage.gaussian_filter(detail**2, 1.5 * scale)
        noise = SIGNIFICANT * _sigma(detail[sky]) ** 2
        kept += detail * (1 - noise / np.maximum(power, max(noise, np.finfo(float).tiny)))
        fine = coarse
    return fine + kept


def _sigma(sky: Image) -> float:
    """Return the standard deviation, robust against stars and galaxies."""
    return MAD_TO_SIGMA * float(np.median(np.abs(sky - np.median(sky))))


def _cosine(share: Image) -> Image:
    """Return a smooth step from 0 at 0 to 1 at 1."""
    return (1 - np.cos(np.pi * np.clip(share, 0, 1))) / 2


def _taper(length: int) -> Image:
    """Return weights along a side: 0 at the outermost pixels, 1 in the centre."""
    from_edge = np.minimum(np.arange(length), np.arange(length)[::-1])
    return _cosine(from_edge / (TAPER * length))


def centred(image: Image, size: int) -> Image:
    """Centre a galaxy on an empty sky in a square frame, with unit flux.

    The light of every pixel is divided among the new pixels that it overlaps. A galaxy is reduced if it does not fit
    with an empty pixel on each side.

    Args:
        image: (height, width), no pixel negative, some positive.
        size: Side of the frame in pixels, at least 4.

    Returns:
        (size, size), with outermost pixels of exactly zero and a sum of one.
    """
    light = [image.sum(axis) for axis in (1, 0)]  # along y, along x
    centre = [np.average(np.arange(len(side)) + 0.5, weights=side) for side in light]
    reach = [
        max(middle - lit[0], lit[-1] + 1 - middle)
        for lit, middle in zip(map(np.flatnonzero, light), centre, strict=True)
    ]
    step = max(1, 2 * max(reach) / (size - 3))  # size of a new pixel in old pixels
    overlap = []
    for side, middle in zip(light, centre, strict=True):
        old = np.arange(len(side))
        new = middle + (np.arange(size)[:, None] - size / 2) * step
        overlap.append(np.clip(np.minimum(new + step, old + 1) - np.maximum(new, old), 0, None))
    framed = overlap[0] @ image @ overlap[1].T
    return framed / framed.sum()


def half_light_radius(image: Image) -> float:
    """Return the radius in pixels of the central circle with half of the light."""
    y, x = (np.arange(length) - (length - 1) / 2 for length in image.shape)
    distance = np.hypot(y[:, None], x)
    total = image.sum()

    def excess(radius: float) -> float:
        """Return the fraction of light within a radius, minus one half.

        A pixel counts by the fraction inside the circle.
        """
        return float((image * np.clip(radius - distance + 0.5, 0, 1)).sum() / total - 0.5)

    return float(brentq(excess, 0, distance.max() + 0.5))
