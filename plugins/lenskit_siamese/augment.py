"""Augmentations of image batches with separate parameters for each image.

Images stay on their device. The operations follow torchvision's, with three differences. They compute in floating
point, they take any number of channels, and they never clamp, because images of lenses have negative pixels.

Random numbers are arguments, so that the caller can derive them from the address of a lens. Neutral arguments (the
whole image, a factor of 1, a standard deviation of 0) leave an image unchanged.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def random_crops(
    size: tuple[int, int], scale: tuple[float, float], ratio: tuple[float, float],
    *, area: Tensor, aspect: Tensor, top: Tensor, left: Tensor,
) -> Tensor:  # fmt: skip
    """Return the positions and sizes of random crops.

    The rule is the same as in torchvision's `RandomResizedCrop`. The first attempt whose crop fits into the image is
    used. If no crop fits, the largest central crop with an allowed aspect ratio is used.

    Args:
        size: Height and width of the images in pixels.
        scale: Smallest and largest area, as a fraction of the image's area.
        ratio: Smallest and largest ratio of width to height.
        area: (n, attempts) uniform numbers between 0 and 1, for the area.
        aspect: (n, attempts) uniform numbers between 0 and 1, for the aspect ratio, which is log-uniform.
        top: (n,) uniform numbers between 0 and 1, for the vertical position.
        left: (n,) uniform numbers between 0 and 1, for the horizontal position.

    Returns:
        (n, 4) integers: top, left, height and width in pixels.
    """
    rows, columns = size
    # In double precision, so that rounding to whole pixels does not depend on the device.
    pixels = rows * columns * (scale[0] + (scale[1] - scale[0]) * area.double())
    aspect = ratio[0] * (ratio[1] / ratio[0]) ** aspect.double()
    width, height = (pixels * aspect).sqrt().round(), (pixels / aspect).sqrt().round()
    fits = (width >= 1) & (width <= columns) & (height >= 1) & (height <= rows)
    first = fits.int().argmax(1, keepdim=True)
    valid = fits.any(1)
    bounded = min(max(columns / rows, ratio[0]), ratio[1])
    width = torch.where(valid, width.gather(1, first)[:, 0], min(columns, round(rows * bounded)))
    height = torch.where(valid, height.gather(1, first)[:, 0], min(rows, round(columns / bounded)))
    free_rows, free_columns = rows - height, columns - width
    # The minimum matters only for a random number that was rounded up to 1.
    y = torch.where(valid, torch.minimum((top * (free_rows + 1)).floor(), free_rows), (free_rows / 2).floor())
    x = torch.where(valid, torch.minimum((left * (free_columns + 1)).floor(), free_columns), (free_columns / 2).floor())
    return torch.stack([y, x, height, width], dim=1).long()


def resized_crop(images: Tensor, crops: Tensor, flip: Tensor | None = None) -> Tensor:
    """Crop each image, enlarge the crop to the image's size and mirror some images.

    The interpolation is bilinear. The result agrees with torchvision's `resized_crop` followed by `horizontal_flip`:
    torchvision's antialiasing has no effect when a crop is enlarged.

    Args:
        images: (n, channels, height, width).
        crops: (n, 4) top, left, height and width in pixels.
        flip: (n,) bool, whether to swap left and right. None mirrors no image.
    """
    rows, columns = images.shape[-2:]
    top, left, height, width = crops.to(images.dtype).T
    y, x = _positions(rows, top, height), _positions(columns, left, width)
    if flip is not None:
        x = torch.where(flip[:, None], x.flip(1), x)
    # grid_sample without align_corners: -1 and 1 are the outer edges of the image.
    y, x = (2 * y + 1) / rows - 1, (2 * x + 1) / columns - 1
    grid = torch.stack([x[:, None, :].expand(-1, rows, -1), y[:, :, None].expand(-1, -1, columns)], dim=-1)
    return F.grid_sample(images, grid, padding_mode="border", align_corners=False)


def _positions(size: int, start: Tensor, length: Tensor) -> Tensor:
    """Return the positions (n, size) of output pixels in the input along one axis.

    The unit is a pixel of the input. Positions are clamped to the crop, so that pixels outside it do not contribute.
    """
    centre = torch.arange(size, dtype=start.dtype, device=start.device) + 0.5
    offset = centre * (length[:, None] / size) - 0.5
    return start[:, None] + torch.minimum(offset.clamp(min=0), length[:, None] - 1)


def jitter(images: Tensor, brightness: Tensor, contrast: Tensor) -> Tensor:
    """Multiply images by a factor, then change their contrast about their mean.

    The operations are torchvision's `adjust_brightness` and `adjust_contrast` without clamping, so their order does not
    matter. The mean is over pixels and channels, where torchvision uses the luminance of red, green and blue.

    Args:
        images: (n, channels, height, width).
        brightness: (n,) factors.
        contrast: (n,) factors.
    """
    images = images * brightness[:, None, None, None]
    contrast = contrast[:, None, None, None]
    return contrast * images + (1 - contrast) * images.mean((1, 2, 3), keepdim=True)


def gaussian_blur(images: Tensor, sigma: Tensor, radius: int) -> Tensor:
    """Convolve each image with a Gaussian, whose width may differ between images.

    Borders are reflected, as in torchvision's `gaussian_blur`.

    Args:
        images: (n, channels, height, width).
        sigma: (n,) standard deviations in pixels; 0 leaves the image unchanged.
        radius: The kernel spans 2 `radius` + 1 pixels.
    """
    n, channels, rows, _ = images.shape
    offset = torch.arange(-radius, radius + 1, dtype=images.dtype, device=images.device)
    # The clamp avoids a division by zero; with so narrow a Gaussian the kernel is exactly a delta function.
    kernel = torch.softmax(-0.5 * (offset / sigma.clamp(min=1e-3)[:, None]) ** 2, dim=1)
    kernel = kernel.repeat_interleave(channels, dim=0)[:, None, :, None]
    # One group per image and channel, because every image has a different kernel.
    padded = F.pad(images, (radius,) * 4, mode="reflect").reshape(1, n * channels, rows + 2 * radius, -1)
    blurred = F.conv2d(F.conv2d(padded, kernel, groups=n * channels), kernel.mT, groups=n * channels)
    return blurred.reshape(images.shape)
