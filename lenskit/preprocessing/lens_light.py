"""Subtraction of the smooth light of an image, to show arcs in units of the noise.

`unsharp` subtracts a blurred copy of the image. `multipole` subtracts a model of the galaxy in the middle. The model
consists of concentric ellipses with one axis ratio. Along each ellipse, the brightness is a Fourier series with m = 0,
2 and 4. The fit is robust, so that arcs remain. The model is a simpler form of the B-splines by which the SLACS team
subtracted lens galaxies (Bolton et al. 2006, https://arxiv.org/abs/astro-ph/0511453; Bolton et al. 2008,
https://arxiv.org/abs/0805.1931). No step makes the host wait for the device, and every step can be exported to ONNX.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from lenskit.preprocessing.robust import MAD_TO_SIGMA, border, median

HIGH_PASS = 1.5
"""Standard deviation in pixels of the blur that separates noise from light."""

KEPT = math.sqrt(1 - 3 / (4 * math.pi * HIGH_PASS**2))
"""Standard deviation of white noise minus its blurred copy, divided by the standard deviation of the noise. The ratio
of the variances is 1 - 2 k(0) + sum of k^2 for a kernel k."""

MARGIN = 0.1
"""Width of the margin for the noise of the sky, as a fraction of the width of the frame."""

ANNULI = (4, 6, 8, 10, 12, 15, 18, 21, 24)
"""Radii in pixels of the annuli for the photon noise."""

RINGS, ANGLES = 20, 36
"""Number of ellipses, spaced evenly in the logarithm of their radii, and number of points along each."""

ORDERS = (2, 4)
"""Orders m of the Fourier series along an ellipse, in addition to m = 0."""

SHAPE_ROUNDS, CLIP_ROUNDS = 3, 6
"""Rounds that find the axis ratio of the ellipses, and rounds in which outliers of the series are clipped."""

BELOW, ABOVE, REJECTED = 2.5, 1.5, 3.0
"""Residuals are clipped this many standard deviations below and above the series. In the second half of the rounds,
residuals above `REJECTED` standard deviations are set to zero."""

FLATTEST = 0.6
"""Largest ellipticity of the ellipses, (1 - q) / (1 + q)."""

SMALLEST = 16
"""Height and width in pixels of the smallest image that has a model."""


@dataclass(frozen=True)
class SmoothLight:
    """Models of the galaxies in the middle of n images.

    Attributes:
        image: Model images with the background, (n, H, W).
        ellipticity: Ellipticities, (n, 2): (1 - q) / (1 + q) times the cosine and sine of twice the angle from +x
            towards +y.
        center: Centres x and y in pixels from the middle of the frame, (n, 2).
        background: Medians of the border pixels, (n, 1, 1).
    """

    image: Tensor
    ellipticity: Tensor
    center: Tensor
    background: Tensor


class WithoutLensLight:
    """Images without their smooth light, in units of the noise.

    Args:
        images: (n, C, H, W), finite, at least `SMALLEST` pixels high and wide. Pixels of exactly zero have no data.
    """

    def __init__(self, images: Tensor) -> None:
        self._shape = images.shape
        self._images = filled(images.flatten(0, 1))
        self._model = smooth_light(self._images).image
        self._noise = noise_map(self._images, self._model)

    def unsharp(self, scale: float) -> Tensor:
        """Return images (n, C, H, W) minus a copy blurred by a Gaussian, over the noise.

        Args:
            scale: Standard deviation of the Gaussian in pixels.
        """
        return ((self._images - blurred(self._images, scale)) / self._noise).view(self._shape)

    def multipole(self) -> Tensor:
        """Return images (n, C, H, W) minus the model of the galaxy, over the noise."""
        return ((self._images - self._model) / self._noise).view(self._shape)


def noise_map(images: Tensor, model: Tensor) -> Tensor:
    """Return the standard deviation of the noise of each pixel.

    The result combines the noise of the sky with photon noise, whose variance is proportional to the light. Both are
    measured in the residual minus its blurred copy. If the noise of neighbouring pixels is correlated, as in drizzled
    images, the result is too small: by a constant factor of 0.75 for the HST images tested.

    Args:
        images: (n, H, W).
        model: Smooth light of the images, (n, H, W).

    Returns:
        Standard deviations, (n, H, W), positive.
    """
    residual = images - model
    high = MAD_TO_SIGMA / KEPT * (residual - blurred(residual, HIGH_PASS)).abs()
    sky = median(_margin(high)).square()
    level = median(_margin(model))
    # For images without noise (simulated images), use 1e-3 of the peak, as in `border_noise`.
    peak = images.abs().amax((1, 2))[:, None]
    floor = (1e-3 * peak).square().clamp(min=torch.finfo(images.dtype).tiny)
    sky = torch.where(sky > 0, sky, floor)
    slopes = []
    for inner, outer in pairwise(ANNULI):
        if outer <= (min(images.shape[1:]) - 1) / 2:
            annulus = _annulus(images, inner, outer)
            excess = median(high.flatten(1).index_select(1, annulus)).square() - sky
            light = median(model.flatten(1).index_select(1, annulus)) - level
            slopes.append(torch.where(light > 0, excess / torch.where(light > 0, light, 1), 0))
    # The lower quartile, not the median: structure in some annuli can only increase the excess.
    slope = torch.cat(slopes, 1).sort(1).values[:, len(slopes) // 4, None].clamp(min=0) if slopes else 0 * sky
    light = (model - level[..., None]).clamp(min=0)
    return (sky[..., None] + slope[..., None] * light).sqrt()


def smooth_light(images: Tensor) -> SmoothLight:
    """Fit the model of the galaxy in the middle to each image.

    Args:
        images: (n, H, W), finite, at least `SMALLEST` pixels high and wide.
    """
    background = median(border(images))[..., None]
    light = images - background
    sigma = (light - blurred(light, HIGH_PASS)).abs()
    scatter = MAD_TO_SIGMA * median(border(sigma))
    peak = images.abs().amax((1, 2))[:, None]
    scatter = torch.where(scatter > 0, scatter, 1e-3 * peak).clamp(min=torch.finfo(images.dtype).tiny)
    center = _center(light)
    ellipticity = torch.zeros_like(center)
    for _ in range(SHAPE_ROUNDS):
        rings = _Rings(light, center, ellipticity, scatter)
        ellipticity = rings.rounder()
    rings = _Rings(light, center, ellipticity, scatter)
    return SmoothLight(rings.image() + background, ellipticity, center, background)


class _Rings:
    """Fourier series along ellipses of one axis ratio, fitted to n images.

    Args:
        light: (n, H, W), without background.
        center: (n, 2) in pixels from the middle of the frame.
        ellipticity: (n, 2).
        scatter: (n, 1) standard deviation of the sky.
    """

    def __init__(self, light: Tensor, center: Tensor, ellipticity: Tensor, scatter: Tensor) -> None:
        self.light, self.center, self.ellipticity, self.scatter = light, center, ellipticity, scatter
        self.half_x, self.half_y = (light.shape[-1] - 1) / 2, (light.shape[-2] - 1) / 2
        # Not torch.logspace, whose values differ between devices.
        self.step = math.log(1.3 * max(self.half_x, self.half_y)) / (RINGS - 1)
        self.radii = (self.step * torch.arange(RINGS, dtype=light.dtype, device=light.device)).exp()
        angles = torch.arange(ANGLES, dtype=light.dtype, device=light.device) * (2 * math.pi / ANGLES)
        self.series = _series(angles)
        norm = _norm(ellipticity)[:, None, None]
        self.stretch = ((1 - norm) / (1 + norm)).sqrt()
        angle = (torch.atan2(ellipticity[:, 1], ellipticity[:, 0]) / 2)[:, None, None]
        self.cos, self.sin = angle.cos(), angle.sin()
        self.coefficients = self._fitted(*self._sampled(angles))

    def _sampled(self, angles: Tensor) -> tuple[Tensor, Tensor]:
        """Return the light at points (n, rings, angles), and whether each is in the frame."""
        u = self.radii[:, None] * angles.cos() / self.stretch
        v = self.radii[:, None] * angles.sin() * self.stretch
        x = self.center[:, 0, None, None] + u * self.cos - v * self.sin
        y = self.center[:, 1, None, None] + u * self.sin + v * self.cos
        places = torch.stack([x / self.half_x, y / self.half_y], -1)
        light = F.grid_sample(self.light[:, None], places, padding_mode="border", align_corners=True)[:, 0]
        return light, (x.abs() <= self.half_x) & (y.abs() <= self.half_y)

    def _fitted(self, light: Tensor, inside: Tensor) -> Tensor:
        """Fit the coefficients (n, rings, terms) of the series.

        Huber's method of clipped residuals is used, because it needs no weighted normal equations.

        Args:
            light: Brightness at the points, (n, rings, angles).
            inside: Mask of the points in the frame, (n, rings, angles).
        """
        projection = self.series.mT / ANGLES
        least = self.scatter[..., None]
        coefficients = torch.zeros(*light.shape[:2], len(self.series), dtype=light.dtype, device=light.device)
        coefficients[..., 0] = median(light)[..., 0]
        for turn in range(CLIP_ROUNDS):
            residual = torch.where(inside, light - coefficients @ self.series, 0)
            sigma = torch.maximum(least, MAD_TO_SIGMA * median(residual.abs()))
            clipped = torch.minimum(torch.maximum(residual, -BELOW * sigma), ABOVE * sigma)
            if turn >= CLIP_ROUNDS // 2:
                clipped = torch.where(residual > REJECTED * sigma, 0, clipped)
            coefficients = coefficients + clipped @ projection
        # If most of an ellipse is outside the frame, its shape is unknown: set its coefficients to zero except the
        # mean.
        is_mean = torch.arange(len(self.series), device=light.device) == 0
        whole = (inside.to(light.dtype).mean(-1, keepdim=True) > 0.6) | is_mean
        return torch.where(whole, coefficients, 0)

    def rounder(self) -> Tensor:
        """Return the ellipticities (n, 2) that reduce the m = 2 terms of the series.

        Each is an average over the ellipses, weighted by the slope of the brightness.
        """
        mean = self.coefficients[..., 0]
        slope = torch.zeros_like(mean)
        slope[:, 1:-1] = (mean[:, 2:] - mean[:, :-2]) / (2 * self.step)
        most = 0.8 * min(self.half_x, self.half_y)
        counts = (slope < 0) & (mean > 3 * self.scatter) & (self.radii > 2) & (self.radii < most)
        weight = torch.where(counts, -slope * self.radii.sqrt(), 0)
        # An ellipticity e adds r dI/dr (e cos 2 theta) to the series.
        part = torch.where(counts, -math.sqrt(2) / torch.where(counts, slope, 1), 0)
        total = weight.sum(1).clamp(min=torch.finfo(mean.dtype).tiny)
        cos, sin = (((part * self.coefficients[..., i]).clamp(-0.3, 0.3) * weight).sum(1) / total for i in (1, 2))
        turn_cos, turn_sin = (self.cos**2 - self.sin**2)[:, 0, 0], (2 * self.cos * self.sin)[:, 0, 0]
        change = torch.stack([cos * turn_cos - sin * turn_sin, cos * turn_sin + sin * turn_cos], 1)
        ellipticity = self.ellipticity + change
        return ellipticity / (_norm(ellipticity)[:, None] / FLATTEST).clamp(min=1)

    def image(self) -> Tensor:
        """Return the series at all pixels (n, H, W), with Catmull-Rom interpolation."""
        x, y = _axes(self.light)
        dx, dy = x - self.center[:, 0, None, None], y - self.center[:, 1, None, None]
        u = (dx * self.cos + dy * self.sin) * self.stretch
        v = (dy * self.cos - dx * self.sin) / self.stretch
        place = (u.square() + v.square()).clamp(min=1e-6).log() / 2 / self.step
        spots = torch.stack([torch.zeros_like(place), place * 2 / (RINGS - 1) - 1], -1)
        columns = self.coefficients.mT[..., None]
        curvature = torch.zeros_like(columns)
        curvature[:, :, 1:-1] = columns[:, :, 2:] - 2 * columns[:, :, 1:-1] + columns[:, :, :-2]
        both = torch.cat([columns, curvature], 1)
        terms, bends = F.grid_sample(both, spots, padding_mode="border", align_corners=True).chunk(2, 1)
        between = place.clamp(0, RINGS - 1)
        between = (between - between.floor())[:, None]
        terms = terms - between * (1 - between) / 2 * bends
        # The direction is undefined at the centre, so only the mean remains within the first ellipse.
        directed = (place + 1).clamp(0, 1)
        series = _series(torch.atan2(v, u))
        return terms[:, 0] + directed * (terms[:, 1:] * series[1:].transpose(0, 1)).sum(1)


def _series(angles: Tensor) -> Tensor:
    """Return the terms (terms, ...) of the Fourier series at angles (...).

    The mean square of each term is 1.
    """
    terms = [torch.ones_like(angles)]
    for order in ORDERS:
        terms += [math.sqrt(2) * (order * angles).cos(), math.sqrt(2) * (order * angles).sin()]
    return torch.stack(terms)


def _center(light: Tensor, sigma: float = 2.5, rounds: int = 6, farthest: float = 4.0) -> Tensor:
    """Return the centres (n, 2) of the galaxies in pixels from the middle.

    Each centre is a centroid weighted by a Gaussian. In each round, the Gaussian moves to the new centroid.

    Args:
        light: Images without background, (n, H, W).
        sigma: Standard deviation of the Gaussian in pixels.
        rounds: Number of rounds.
        farthest: Largest offset in x and in y, in pixels.
    """
    x, y = _axes(light)
    center = torch.zeros(light.shape[0], 2, dtype=light.dtype, device=light.device)
    for _ in range(rounds):
        dx, dy = x - center[:, 0, None, None], y - center[:, 1, None, None]
        across, along = (-dx.square() / (2 * sigma**2)).exp(), (-dy.square() / (2 * sigma**2)).exp()
        weighted = along * light.clamp(min=0)
        columns = weighted.sum(1, keepdim=True) * across
        rows = ((weighted * dy) @ across.mT).sum((1, 2))
        total = columns.sum((1, 2)).clamp(min=torch.finfo(light.dtype).tiny)
        # Twice the step, because the Gaussian weight biases the centroid towards the old centre.
        moved = torch.stack([(columns * dx).sum((1, 2)) / total, rows / total], 1)
        center = (center + 2 * moved).clamp(-farthest, farthest)
    return center


def _norm(vectors: Tensor) -> Tensor:
    """Return the lengths (n,) of vectors (n, 2)."""
    # torch.hypot cannot be exported to ONNX.
    return vectors.square().sum(1).sqrt()


def filled(images: Tensor) -> Tensor:
    """Return images (n, H, W) in which pixels without data are filled.

    Pixels without data are exactly zero. Their new value is a weighted mean of the pixels around them.
    """
    there = (images != 0).to(images.dtype)
    around = blurred(images, 2.0) / blurred(there, 2.0).clamp(min=1e-3)
    return torch.where(images == 0, around, images)


def blurred(images: Tensor, sigma: float) -> Tensor:
    """Return images blurred by a Gaussian; edge values continue beyond the frame.

    Args:
        images: (n, H, W).
        sigma: Standard deviation in pixels.
    """
    # Matrix products are several times as fast as convolutions of one channel.
    height, width = images.shape[-2:]
    return _blur(height, sigma, images) @ images @ _blur(width, sigma, images).mT


def _blur(size: int, sigma: float, like: Tensor) -> Tensor:
    """Return the Gaussian blur of a row of `size` pixels as a matrix (size, size)."""
    reach = max(math.ceil(3 * sigma), 1)
    axis = torch.arange(-reach, reach + 1, dtype=like.dtype, device=like.device)
    kernel = (-(axis / sigma).square() / 2).exp()
    row = torch.arange(size, device=like.device)
    columns = (row[:, None] + torch.arange(-reach, reach + 1, device=like.device)).clamp(0, size - 1)
    matrix = torch.zeros(size, size, dtype=like.dtype, device=like.device)
    return matrix.scatter_add(1, columns, (kernel / kernel.sum()).expand(size, -1))


def _axes(images: Tensor) -> tuple[Tensor, Tensor]:
    """Return the coordinates x (W,) and y (H, 1) in pixels from the middle."""
    height, width = images.shape[-2:]
    x = torch.arange(width, dtype=images.dtype, device=images.device) - (width - 1) / 2
    y = torch.arange(height, dtype=images.dtype, device=images.device) - (height - 1) / 2
    return x, y[:, None]


def _margin(images: Tensor) -> Tensor:
    """Return the pixels (n, pixels) in the margin of images (n, H, W)."""
    height, width = images.shape[1:]
    wide = math.ceil(MARGIN * min(height, width))
    top, bottom = images[:, :wide], images[:, -wide:]
    left, right = images[:, wide:-wide, :wide], images[:, wide:-wide, -wide:]
    return torch.cat([part.flatten(1) for part in (top, bottom, left, right)], 1)


def _annulus(images: Tensor, inner: float, outer: float) -> Tensor:
    """Return the indices of the pixels of an annulus.

    Their distance from the middle is at least `inner` and less than `outer`, in pixels.
    """
    # Not by a boolean mask, for which the host would wait. The number of pixels is known without the device.
    x, y = _axes(images)
    square = x.square() + y.square()
    chosen = (square >= inner**2) & (square < outer**2)
    return chosen.flatten().to(images.dtype).topk(_count(*images.shape[1:], inner, outer)).indices


@cache
def _count(height: int, width: int, inner: float, outer: float) -> int:
    """Return the number of pixels of an annulus."""
    # Squares of distances are multiples of a quarter, so the comparison is exact.
    x, y = np.arange(width) - (width - 1) / 2, np.arange(height) - (height - 1) / 2
    square = x**2 + y[:, None] ** 2
    return int(((square >= inner**2) & (square < outer**2)).sum())
