"""What is done to an image before a network sees it: the same for simulated and real ones."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lenskit.errors import UsageError
from lenskit.preprocessing.lens_light import SMALLEST, WithoutLensLight
from lenskit.preprocessing.robust import MAD_TO_SIGMA, border, median
from lenskit.preprocessing.zscale import zscale
from lenskit.settings import InputSettings, stretches


def border_noise(images: Tensor) -> Tensor:
    """The noise of each channel: the median absolute deviation of its border pixels, scaled to a standard deviation.

    Args:
        images: (..., H, W).

    Returns:
        (..., 1, 1), never zero.
    """
    edge = border(images)
    sigma = MAD_TO_SIGMA * median((edge - median(edge)).abs())
    # A border without any noise (a simulated image, or a real one filled with a constant) falls back on the peak.
    peak = images.abs().flatten(-2).amax(-1, keepdim=True)
    return torch.where(sigma > 0, sigma, 1e-3 * peak).clamp(min=torch.finfo(images.dtype).tiny)[..., None]


PHOTOGRAPHS = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Mean and standard deviation of the red, green and blue of ImageNet, as torchvision's weights take them."""


REMOVES_LIGHT = {"unsharp", "multipole"}
"""Stretches that take the smooth light of the lens galaxy off."""


class Preprocess(nn.Module):
    """Stretches images, resizes them, repeats their channel, and normalises them; all in floats.

    Args:
        stretch: `asinh` for asinh(x / 3 sigma), with sigma the noise of the border (the scale, and so the unit, drops
            out); `zscale` for what lies between the limits of `zscale_limits`, as 0 to 1; `linear` for the values as
            they are; `imagenet` for x over its maximum in the image, less the mean and over the standard deviation of
            photographs, which is for three channels; `unsharp` and `multipole` for asinh(x / 3) of images without lens
            light, see `WithoutLensLight`. Several, joined by +, give as many channels each.
        size: Height and width in pixels that come out, or None to leave them.
        channels: Number of channels that one is repeated to, or None to leave it.
        normalise: What is done last to each image, over all of its channels: `none`; `peak` divides by the maximum
            (unless it is not positive); `standard` takes the mean off and divides by the standard deviation.
        unsharp_scale: Standard deviations in arcsec of the blurs of `unsharp`, which give a channel each.
        pixel_scale: Size of the images' pixels in arcsec, which `unsharp` needs.

    Raises:
        UsageError: The size of the pixels is not known, and `unsharp` needs it.
    """

    def __init__(
        self,
        stretch: str = "asinh",
        size: int | None = None,
        channels: int | None = None,
        normalise: str = "none",
        *,
        unsharp_scale: Sequence[float] = (),
        pixel_scale: float | None = None,
    ) -> None:
        super().__init__()
        self.stretch, self.size, self.channels, self.normalise = stretch, size, channels, normalise
        self.stretches = stretches(stretch)
        self.blurs: tuple[float, ...] = ()
        """Standard deviations in pixels of the blurs of `unsharp`."""
        if "unsharp" in self.stretches:
            if pixel_scale is None:
                raise UsageError(
                    "input.stretch=unsharp blurs over a scale in arcsec, and how large the images' pixels are is not "
                    'known: say it, as in --data "PATH?pixel_scale=0.05", or take input.stretch=multipole'
                )
            self.blurs = tuple(scale / pixel_scale for scale in unsharp_scale)

    @classmethod
    def of(cls, inputs: InputSettings, pixel_scale: float | None) -> Preprocess:
        """The one that settings describe, for images with pixels of a size in arcsec, or None if it is not known."""
        return cls(
            inputs.stretch,
            inputs.size,
            inputs.channels,
            inputs.normalise,
            unsharp_scale=inputs.unsharp_scale,
            pixel_scale=pixel_scale,
        )

    def shape(self, image_shape: tuple[int, int, int]) -> tuple[int, int, int]:
        """Channels, height and width that come out of images of such a shape.

        Raises:
            UsageError: if such images have too many channels, or too few.
        """
        given, height, width = image_shape
        if REMOVES_LIGHT & set(self.stretches) and min(height, width) < SMALLEST:
            raise UsageError(
                f"input.stretch={self.stretch} needs images of {SMALLEST} pixels or more, these have {height} x {width}"
            )
        given *= sum(len(self.blurs) if stretch == "unsharp" else 1 for stretch in self.stretches)
        channels = self.channels or given
        if given not in (1, channels):
            raise UsageError(
                f"input.channels={channels} repeats the channel of images that have one, these have {given}: "
                "leave it out"
            )
        if self.stretch == "imagenet" and channels != 3:
            hint = ", such as --set input.channels=3" if given == 1 else ""
            raise UsageError(f"input.stretch=imagenet is for three channels{hint}; the images have {channels}")
        if self.stretch == "imagenet" and self.normalise != "none":
            raise UsageError(f"input.stretch=imagenet standardises images itself: leave out normalise={self.normalise}")
        return channels, self.size or height, self.size or width

    def forward(self, images: Tensor) -> Tensor:
        """Images (n, C, H, W) to (n, channels, size, size); channels of one stretch stand together."""
        images = self._stretched(images)
        if self.size is not None and images.shape[-2:] != (self.size, self.size):
            images = F.interpolate(images, (self.size, self.size), mode="bilinear", antialias=True)
        if self.channels is not None:
            images = images.expand(-1, self.channels, -1, -1)
        if self.stretch == "imagenet":
            # Channel by channel, because a tensor of constants would have to be copied to the images' device.
            bands = zip(images.unbind(1), *PHOTOGRAPHS, strict=True)
            images = torch.stack([(band - mean) / std for band, mean, std in bands], 1)
        return normalised(images, self.normalise)

    def _stretched(self, images: Tensor) -> Tensor:
        without = WithoutLensLight(images) if REMOVES_LIGHT & set(self.stretches) else None
        stretched: list[Tensor] = []
        for stretch in self.stretches:
            if stretch == "asinh":
                stretched.append((images / (3 * border_noise(images))).asinh())
            elif stretch == "zscale":
                stretched.append(zscale(images))
            elif stretch == "imagenet":
                peak = images.amax((-3, -2, -1), keepdim=True)
                stretched.append(images / torch.where(peak > 0, peak, 1.0))
            elif stretch == "linear":
                stretched.append(images)
            elif stretch == "multipole" and without is not None:
                stretched.append((without.multipole() / 3).asinh())
            elif without is not None:
                stretched += [(without.unsharp(blur) / 3).asinh() for blur in self.blurs]
        return stretched[0] if len(stretched) == 1 else torch.cat(stretched, 1)


def normalised(images: Tensor, how: str) -> Tensor:
    """Each of the images (n, C, H, W) normalised: `none`, `peak` or `standard`, see `Preprocess`."""
    if how == "peak":
        peak = images.amax((-3, -2, -1), keepdim=True)
        return images / torch.where(peak > 0, peak, 1.0)
    if how == "standard":
        # Over the largest value first, as squares of 1e-20 are none in single precision.
        largest = images.abs().amax((-3, -2, -1), keepdim=True)
        images = images / torch.where(largest > 0, largest, 1.0)
        images = images - images.mean((-3, -2, -1), keepdim=True)
        deviation = images.square().mean((-3, -2, -1), keepdim=True).sqrt()
        return images / torch.where(deviation > 0, deviation, 1.0)
    return images
