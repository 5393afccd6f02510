"""Preprocessing of images for a network, the same for simulated and real images."""

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
    """Return the noise of each channel, measured in the border pixels.

    The noise is the median absolute deviation of these pixels, scaled to a standard deviation.

    Args:
        images: (..., H, W).

    Returns:
        (..., 1, 1), never zero.
    """
    edge = border(images)
    sigma = MAD_TO_SIGMA * median((edge - median(edge)).abs())
    # A border without noise (a simulated image, or a real image filled with a constant): use 1e-3 of the peak.
    peak = images.abs().flatten(-2).amax(-1, keepdim=True)
    return torch.where(sigma > 0, sigma, 1e-3 * peak).clamp(min=torch.finfo(images.dtype).tiny)[..., None]


PHOTOGRAPHS = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Mean and standard deviation of the red, green and blue channels of ImageNet, as in torchvision."""


REMOVES_LIGHT = {"unsharp", "multipole"}
"""Stretches that subtract the smooth light of the lens galaxy."""


class Preprocess(nn.Module):
    """Preprocessing of images: stretch, resize, repeat the channel, normalise.

    Pixels are floats.

    Args:
        stretch: One stretch, or several joined by `+`, whose channels are concatenated. `asinh` is asinh(x / 3 sigma),
            with sigma the noise of the border; it does not depend on the unit of x. `zscale` maps the range of
            `zscale_limits` to 0 to 1. `linear` leaves the values unchanged. `imagenet` divides by the maximum of the
            image, subtracts ImageNet's mean and divides by its standard deviation; it needs three channels. `unsharp`
            and `multipole` are asinh(x / 3) of images without lens light, see `WithoutLensLight`.
        size: Height and width in pixels of the result; None leaves the size unchanged.
        channels: Number of channels to which a single channel is repeated; None repeats no channel.
        normalise: Normalisation of each image over all of its channels, made last. `none` changes nothing. `peak`
            divides by the maximum, if that is positive. `standard` subtracts the mean and divides by the standard
            deviation.
        unsharp_scale: Standard deviations in arcsec of the blurs of `unsharp`; each blur gives one set of channels.
        pixel_scale: Size of a pixel in arcsec; only `unsharp` needs it.

    Raises:
        UsageError: The pixel scale is unknown, but `unsharp` needs it.
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
                    "input.stretch=unsharp needs the pixel scale of the images, which is unknown: use, for example, "
                    '--data "PATH?pixel_scale=0.05" (in arcsec), or input.stretch=multipole'
                )
            self.blurs = tuple(scale / pixel_scale for scale in unsharp_scale)

    @classmethod
    def of(cls, inputs: InputSettings, pixel_scale: float | None) -> Preprocess:
        """Return the preprocessing that settings describe.

        Args:
            inputs: Settings of the section `input`.
            pixel_scale: Size of a pixel in arcsec, or None if it is unknown.
        """
        return cls(
            inputs.stretch,
            inputs.size,
            inputs.channels,
            inputs.normalise,
            unsharp_scale=inputs.unsharp_scale,
            pixel_scale=pixel_scale,
        )

    def shape(self, image_shape: tuple[int, int, int]) -> tuple[int, int, int]:
        """Return the channels, height and width of preprocessed images.

        Args:
            image_shape: Channels, height and width of the images.

        Raises:
            UsageError: The images are too small or their number of channels does not fit.
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
                f"input.channels={channels} needs images with one channel, which it repeats; these have {given}: "
                "leave input.channels out"
            )
        if self.stretch == "imagenet" and channels != 3:
            hint = ", such as --set input.channels=3" if given == 1 else ""
            raise UsageError(f"input.stretch=imagenet is for three channels{hint}; the images have {channels}")
        if self.stretch == "imagenet" and self.normalise != "none":
            raise UsageError(f"input.stretch=imagenet standardises images itself: leave out normalise={self.normalise}")
        return channels, self.size or height, self.size or width

    def forward(self, images: Tensor) -> Tensor:
        """Preprocess images (n, C, H, W) to (n, channels, size, size).

        The channels of each stretch are consecutive.
        """
        images = self._stretched(images)
        if self.size is not None and images.shape[-2:] != (self.size, self.size):
            images = F.interpolate(images, (self.size, self.size), mode="bilinear", antialias=True)
        if self.channels is not None:
            images = images.expand(-1, self.channels, -1, -1)
        if self.stretch == "imagenet":
            # Channel by channel: a tensor of constants would have to be copied to the device.
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
    """Normalise each image over all of its channels.

    Args:
        images: (n, C, H, W).
        how: `none`, `peak` or `standard`, see `Preprocess`.
    """
    if how == "peak":
        peak = images.amax((-3, -2, -1), keepdim=True)
        return images / torch.where(peak > 0, peak, 1.0)
    if how == "standard":
        # Divide by the largest value first: squares of values of 1e-20 underflow in single precision.
        largest = images.abs().amax((-3, -2, -1), keepdim=True)
        images = images / torch.where(largest > 0, largest, 1.0)
        images = images - images.mean((-3, -2, -1), keepdim=True)
        deviation = images.square().mean((-3, -2, -1), keepdim=True).sqrt()
        return images / torch.where(deviation > 0, deviation, 1.0)
    return images
