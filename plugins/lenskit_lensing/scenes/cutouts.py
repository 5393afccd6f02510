"""Cutouts of real galaxies for simulated arcs, and the shapes of these galaxies."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass, fields, replace
from typing import NamedTuple

import torch
from torch import Tensor

from lenskit.plugin import Dataset, UsageError
from lenskit.toolbox import StoredLenses, check_bytes, noise_map, open_dataset, smooth_light
from lenskit_lensing.render.turned import frame_for, framed

log = logging.getLogger("lenskit")

TOGETHER = 64
"""Number of cutouts that are read and measured together."""

FAINTEST = 3.0
"""Minimum mean brightness of the `CORE` central pixels for a galaxy, relative to the noise of the sky."""

CORE = 5

FARTHEST = 4.0
"""Maximum distance in pixels along x or y between a central galaxy and the centre of the frame."""

DIGITS = 4
"""Decimals of measured shapes: coarser than rounding errors, so scenes are identical on all processors."""


class Shape(NamedTuple):
    """Measured shapes of the central galaxies of n cutouts, float64.

    Attributes:
        ellipticity: (n, 2), (1 - q) / (1 + q) times cos and sin of twice the angle from +x towards +y.
        center: (n, 2), x and y in pixels from the centre of the frame.
        noise: (n,) standard deviation of the sky.
        peak: (n,) largest value.
        there: (n,) whether there is a galaxy in the middle.
    """

    ellipticity: Tensor
    center: Tensor
    noise: Tensor
    peak: Tensor
    there: Tensor


@dataclass(frozen=True)
class Cutouts:
    """Usable galaxies in the order of their data set.

    Attributes:
        images: (g, size, size) float32, divided by their largest value.
        number: (g,) int64, index of each galaxy in its data set.
        ellipticity: (g, 2) float64, see `Shape`.
        center: (g, 2) float64, see `Shape`.
        noise: (g,) float64, standard deviation of the sky relative to the largest value.
        peak: (g,) float64, largest value in the unit of the data set.
        by_q: (g,) int64, indices of the galaxies sorted by axis ratio.
        rank: (g,) int64, rank of each galaxy in that order.
        first: (g,) int64, for each galaxy the first rank of the similar galaxies.
        last: (g,) int64, the last rank. Each galaxy has at least one other similar galaxy.
    """

    images: Tensor
    number: Tensor
    ellipticity: Tensor
    center: Tensor
    noise: Tensor
    peak: Tensor
    by_q: Tensor
    rank: Tensor
    first: Tensor
    last: Tensor

    def __len__(self) -> int:
        return len(self.images)

    def to(self, device: torch.device | str) -> Cutouts:
        """Return the cutouts on a device."""
        return replace(self, **{each.name: getattr(self, each.name).to(device) for each in fields(self)})

    def alike(self, galaxy: Tensor, u: Tensor) -> Tensor:
        """Choose a different galaxy of similar axis ratio for each galaxy (n,).

        `u` (n,) are uniform random numbers from 0 to 1.
        """
        first, others, rank = self.first[galaxy], (self.last - self.first)[galaxy], self.rank[galaxy]
        place = first + torch.minimum((u * others).long(), others - 1)
        return self.by_q[place + (place >= rank)]


def load_cutouts(text: str, pixels: int | None, tolerance: float) -> tuple[Cutouts, int, float]:
    """Read cutouts and measure their central galaxies.

    Args:
        text: `[READER:]PATH[?OPTION=VALUE&...]`.
        pixels: Height and width of images; by default those of the cutouts. Further pixels of larger cutouts are kept
            to fill the corners of rotated images.
        tolerance: Largest difference of axis ratios of similar galaxies.

    Returns:
        The galaxies, the height and width of images, and the pixel size in arcsec.

    Raises:
        UsageError: The data do not exist, their pixel scale is unknown, they are too small or have several bands, or
            fewer than two galaxies are usable.
    """
    lenses = _opened(text, pixels)
    dataset = lenses.dataset
    pixels, scale = _checked(dataset, text, pixels)
    kept = min(*dataset.image_shape[1:], frame_for(pixels))
    kept -= (kept - pixels) % 2
    if kept < math.sqrt(2) * pixels:
        log.info(
            "%s: cutouts of %d pixels do not fill the corners of rotated images of %d pixels in lens-fixed pairs; "
            "corners are mirrored: use pixels=%d or larger cutouts",
            text, kept, pixels, math.floor(kept / math.sqrt(2)),
        )  # fmt: skip
    check_bytes(text, 4 * len(dataset) * kept**2, "all of its galaxies")
    images, shapes = [], []
    for read in lenses.chunks(TOGETHER):
        stamps = _even(read.images[:, 0], pixels)
        shapes.append(_measured(framed(stamps, pixels)))
        images.append(framed(stamps, kept))
    shape = Shape(*(torch.cat(parts) for parts in zip(*shapes, strict=True)))
    left = shape.there.nonzero().squeeze(1)
    if len(left) < len(dataset):
        log.info(
            "%s: %d of %d images are left out: there is no galaxy in the middle",
            text, len(dataset) - len(left), len(dataset),
        )  # fmt: skip
    if len(left) < 2:
        raise UsageError(
            f"option galaxies: {text} has {len(left)} image{'' if len(left) == 1 else 's'} with a galaxy in the "
            "middle; at least 2 are needed; use thousands"
        )
    peak = shape.peak[left]
    ellipticity = shape.ellipticity[left]
    cutouts = Cutouts(
        torch.cat(images)[left] / peak[:, None, None].float(),
        left,
        ellipticity,
        shape.center[left],
        shape.noise[left] / peak,
        peak,
        *_neighbourhoods(axis_ratio(ellipticity), tolerance, text),
    )
    log.info("%s: arcs are added to %d galaxies", text, len(cutouts))
    return cutouts, pixels, scale


def _opened(text: str, pixels: int | None) -> StoredLenses:
    """Open the data set, with images cropped to `pixels` if their sizes differ."""
    try:
        try:
            dataset = open_dataset(text)
        except UsageError:
            if pixels is None:
                raise
            dataset = open_dataset(text, size=pixels)
    except UsageError as error:
        raise UsageError(f"option galaxies: {error}") from None
    return StoredLenses(dataset)


def axis_ratio(ellipticity: Tensor) -> Tensor:
    """Return axis ratios (n,) of ellipticities (n, 2)."""
    norm = torch.hypot(*ellipticity.unbind(1))
    return (1 - norm) / (1 + norm)


def _checked(dataset: Dataset, text: str, pixels: int | None) -> tuple[int, float]:
    """Return the height and width of images, and their pixel scale."""
    channels, height, width = dataset.image_shape
    if channels != 1:
        raise UsageError(f"option galaxies: {text} has {channels} channels; use images of one band")
    smallest = min(height, width)
    if pixels is None and smallest < 16:
        raise UsageError(f"option galaxies: {text} has {height} x {width} pixels; they must be at least 16 x 16")
    if pixels is not None and smallest < pixels:
        raise UsageError(
            f"option pixels: {pixels}, but {text} has {height} x {width} pixels; it must be at most {smallest}"
        )
    if dataset.pixel_scale is None:
        hint = f"add {'&' if '?' in text else '?'}pixel_scale=0.05 to its path, in arcsec"
        if not dataset.pixel_scale_can_be_said:
            hint = "use a reader that knows it, such as fits-folder"
        raise UsageError(f"option galaxies: the pixel size of {text} is not known: {hint}")
    return pixels or smallest, dataset.pixel_scale


def _even(images: Tensor, pixels: int) -> Tensor:
    """Crop images (n, height, width) so that their centre is that of a smaller image.

    The last row or column is dropped if the centre would otherwise be between pixels.
    """
    height, width = (length - (length - pixels) % 2 for length in images.shape[-2:])
    return images[:, :height, :width]


def _measured(images: Tensor) -> Shape:
    """Measure the central galaxies of images (n, pixels, pixels)."""
    model = smooth_light(images)
    center, noise = model.center.double().round(decimals=DIGITS), noise_map(images, model.image)
    sky = noise.flatten(1).amin(1)
    middle = framed(images - model.background, CORE + images.shape[-1] % 2 - 1).mean((1, 2))
    bright = middle > FAINTEST * sky
    peak = images.flatten(1).amax(1)
    return Shape(
        model.ellipticity.double().round(decimals=DIGITS),
        center,
        sky.double(),
        peak.double(),
        bright & (peak > 0) & (center.abs().amax(1) < FARTHEST),
    )


def _neighbourhoods(q: Tensor, tolerance: float, text: str) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return `by_q`, `rank`, `first` and `last` of `Cutouts`."""
    ordered, by_q = q.sort(stable=True)
    rank = torch.empty_like(by_q)
    rank[by_q] = torch.arange(len(q))
    last_place = len(q) - 1
    first = torch.searchsorted(ordered, q - tolerance)
    last = torch.searchsorted(ordered, q + tolerance, right=True) - 1
    alone = first == last
    if alone.any():
        log.info(
            "%s: %d of %d galaxies have no other galaxy with an axis ratio within %g; pairs use the nearest instead",
            text, int(alone.sum()), len(q), tolerance,
        )  # fmt: skip
        below, above = (rank - 1).clamp(min=0), (rank + 1).clamp(max=last_place)
        takes_below = (rank == last_place) | ((rank > 0) & (q - ordered[below] <= ordered[above] - q))
        first = torch.where(alone, torch.where(takes_below, below, rank), first)
        last = torch.where(alone, torch.where(takes_below, rank, above), last)
    return by_q, rank, first, last
