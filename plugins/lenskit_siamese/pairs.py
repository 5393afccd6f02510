"""The pair of SimSiam and its relatives: one image, augmented twice. And no pair at all."""

from __future__ import annotations

from typing import Annotated

import torch
from annotated_types import Ge, Gt, Le
from torch import Tensor

from lenskit.plugin import Batch, Distribution, KeyedGenerator, PairStrategy, Transform, UsageError
from lenskit_siamese.augment import gaussian_blur, jitter, random_crops, resized_crop

Probability = Annotated[float, Ge(0), Le(1)]

PAPER_SIZE = 224
"""Height and width in pixels of the images in the papers, which the blur's numbers refer to."""

ATTEMPTS = 10
"""Attempts at a crop that fits into the image, as in torchvision."""


class Single(PairStrategy):
    """One image, as it is: for autoencoders and supervision."""

    draws = 1
    views = 1

    def __call__(self, images: Tensor, parameters: dict[str, Tensor], rng: KeyedGenerator) -> Batch:
        """The rendering (n, 1, channels, height, width) as the one view."""
        return Batch(images.unbind(1), parameters, rng.index)


class Default(Transform):
    """One image, augmented twice: a random resized crop, a flip, jitter of brightness and contrast, and a blur.

    The augmentations of SimSiam (https://arxiv.org/abs/2011.10566, Sec. 3, after SimCLR and MoCo v2), in floating
    point for any number of channels and without clamping, so that negative noise and a stretch survive. Saturation,
    hue and grayscale are left out: they mix the red, green and blue that the eye sees, which bands of a survey are
    not (and on one band they do nothing).

    The recorded parameters are those of the rendered image: a crop is not entered into them.

    Args:
        scale: Smallest and largest area of the crop, as a fraction of the image's; the crop is then enlarged to
            the image's size.
        ratio: Smallest and largest aspect ratio (width to height) of the crop.
        flip: Probability of a horizontal flip.
        brightness: Brightness factors are uniform between 1 - `brightness` (at least 0) and 1 + `brightness`.
        contrast: Contrast factors are uniform between 1 - `contrast` (at least 0) and 1 + `contrast`.
        jitter: Probability that brightness and contrast are changed.
        blur_sigma: Smallest and largest standard deviation of the Gaussian blur, in pixels of an image of 224
            pixels as in the papers; it is scaled with the size of the images.
        blur_kernel: Width of the blur's kernel, in such pixels too.
        blur: Probability of a blur.
    """

    def __init__(
        self,
        *,
        scale: tuple[float, float] = (0.2, 1.0),
        ratio: tuple[float, float] = (3 / 4, 4 / 3),
        flip: Probability = 0.5,
        brightness: Annotated[float, Ge(0)] = 0.4,
        contrast: Annotated[float, Ge(0)] = 0.4,
        jitter: Probability = 0.8,
        blur_sigma: tuple[float, float] = (0.1, 2.0),
        blur_kernel: Annotated[int, Gt(0)] = 23,
        blur: Probability = 0.5,
    ) -> None:
        for name, (low, high), most in (("scale", scale, 1.0), ("ratio", ratio, float("inf"))):
            if not 0 < low <= high <= most:
                raise UsageError(f"{name} is ({low:g}, {high:g}): give two numbers, 0 < low <= high <= {most:g}")
        if not 0 <= blur_sigma[0] <= blur_sigma[1]:
            raise UsageError(f"blur_sigma is {blur_sigma}: give two numbers, 0 <= low <= high")
        self.scale, self.ratio, self.flip, self.jitter, self.blur = scale, ratio, flip, jitter, blur
        self.blur_kernel = blur_kernel
        ranges = {
            "brightness": (max(0.0, 1 - brightness), 1 + brightness),
            "contrast": (max(0.0, 1 - contrast), 1 + contrast),
            "blur_sigma": blur_sigma,
        } | dict.fromkeys(("crop_top", "crop_left", "flip", "jitter", "blur"), (0.0, 1.0))
        self.priors = {name: Distribution.parse(f"uniform({low}, {high})") for name, (low, high) in ranges.items()}

    def transform(
        self, images: Tensor, parameters: dict[str, Tensor], rng: KeyedGenerator
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Augments each view; it keeps its size."""
        views = [self._augment(image, self._draw(rng, view)) for view, image in enumerate(images.unbind(1))]
        return torch.stack(views, 1), parameters

    def _draw(self, rng: KeyedGenerator, view: int) -> dict[str, Tensor]:
        """All random numbers of a view."""
        once = rng.samples({f"{name}/{view}": prior for name, prior in self.priors.items()})
        attempts = {name: rng.uniform(f"{name}/{view}", ATTEMPTS) for name in ("crop_area", "crop_aspect")}
        return dict(zip(self.priors, once.values(), strict=True)) | attempts

    def _augment(self, images: Tensor, draws: dict[str, Tensor]) -> Tensor:
        """One view: images (n, channels, height, width) to the same shape. What the dice leave out is done with
        neutral arguments."""
        rows, columns = images.shape[-2:]
        places = {name: draws[f"crop_{name}"] for name in ("area", "aspect", "top", "left")}
        crops = random_crops((rows, columns), self.scale, self.ratio, **places)
        images = resized_crop(images, crops, draws["flip"] < self.flip)

        jittered = draws["jitter"] < self.jitter
        brightness, contrast = (torch.where(jittered, draws[name], 1.0) for name in ("brightness", "contrast"))
        images = jitter(images, brightness, contrast)

        pixels = columns / PAPER_SIZE
        sigma = torch.where(draws["blur"] < self.blur, draws["blur_sigma"] * pixels, 0.0)
        return gaussian_blur(images, sigma, radius=round(self.blur_kernel // 2 * pixels))
