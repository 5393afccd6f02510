"""Single augmentations of SimSiam and similar methods; `default` combines all.

Each augmentation applies at random, with separate random numbers for every view. If it is not applied to an image, it
runs with neutral arguments, because all images of a batch take the same path.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Annotated, ClassVar

import torch
from annotated_types import Ge, Gt, Le
from torch import Tensor

from lenskit.plugin import Distribution, KeyedGenerator, Transform, UsageError, at_most
from lenskit.toolbox import orient_values
from lenskit_siamese.augment import gaussian_blur, jitter, random_crops, resized_crop

Probability = Annotated[float, Ge(0), Le(1)]

PAPER_SIZE = 224
"""Height and width in pixels of the papers' images, for which the widths of blurs are stated."""

ATTEMPTS = 10
"""Attempts at a crop that fits into the image, as in torchvision."""

UNIT = Distribution.parse("uniform(0, 1)")


class Augmentation(Transform):
    """Base class of transforms that augment each view separately.

    A subclass declares the random numbers of a view by name, in `priors` and `attempts`.
    """

    priors: dict[str, Distribution]
    """Distributions of random numbers sampled once per view, by name."""

    attempts: ClassVar[tuple[str, ...]] = ()
    """Names of random numbers sampled `ATTEMPTS` times per view, uniformly between 0 and 1."""

    @abstractmethod
    def augment(self, images: Tensor, draws: dict[str, Tensor]) -> Tensor:
        """Augment one view: images (n, channels, height, width); the shape stays the same."""

    def record(self, parameters: dict[str, Tensor], draws: list[dict[str, Tensor]]) -> dict[str, Tensor]:
        """Return the parameters (n, views) of the augmented images."""
        return parameters

    def transform(
        self, images: Tensor, parameters: dict[str, Tensor], rng: KeyedGenerator
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Augment each view; keep the size of the images."""
        draws = [self._draw(rng, view) for view in range(images.shape[1])]
        views = [self.augment(image, draw) for image, draw in zip(images.unbind(1), draws, strict=True)]
        return torch.stack(views, 1), self.record(parameters, draws)

    def _draw(self, rng: KeyedGenerator, view: int) -> dict[str, Tensor]:
        """Sample all random numbers of a view."""
        once = rng.samples({f"{name}/{view}": prior for name, prior in self.priors.items()})
        attempts = {name: rng.uniform(f"{name}/{view}", ATTEMPTS) for name in self.attempts}
        return dict(zip(self.priors, once.values(), strict=True)) | attempts


class Crop(Augmentation):
    """Crop a random part of each view and enlarge it to the image's size.

    The crop does not change the recorded parameters, which describe the whole image. A length in pixels is larger in
    the crop, by a factor that a network cannot always infer.

    Args:
        scale: Smallest and largest area of the crop, as a fraction of the image's area.
        ratio: Smallest and largest aspect ratio (width to height) of the crop.
    """

    attempts = ("crop_area", "crop_aspect")

    def __init__(self, *, scale: tuple[float, float] = (0.2, 1.0), ratio: tuple[float, float] = (3 / 4, 4 / 3)) -> None:
        for name, (low, high), most in (("scale", scale, 1.0), ("ratio", ratio, float("inf"))):
            if not 0 < low <= high <= most:
                raise UsageError(f"{name} is ({low:g}, {high:g}): give two numbers, 0 < low <= high <= {most:g}")
        self.scale, self.ratio = scale, ratio
        self.priors = {"crop_top": UNIT, "crop_left": UNIT}

    def augment(self, images: Tensor, draws: dict[str, Tensor]) -> Tensor:
        places = {name: draws[f"crop_{name}"] for name in ("area", "aspect", "top", "left")}
        rows, columns = images.shape[-2:]
        return resized_crop(images, random_crops((rows, columns), self.scale, self.ratio, **places))


class Flip(Augmentation):
    """Mirror each view at random.

    Left and right are swapped, also in the recorded parameters.

    Args:
        probability: Probability that a view is mirrored.
    """

    def __init__(self, *, probability: Probability = 0.5) -> None:
        self.probability = probability
        self.priors = {"flip": UNIT}

    def augment(self, images: Tensor, draws: dict[str, Tensor]) -> Tensor:
        return torch.where(self._mirrored(draws)[:, None, None, None], images.flip(-1), images)

    def record(self, parameters: dict[str, Tensor], draws: list[dict[str, Tensor]]) -> dict[str, Tensor]:
        mirrored = torch.stack([self._mirrored(draw) for draw in draws], 1)
        return orient_values(parameters, torch.zeros_like(mirrored, dtype=torch.int64), mirrored, self.known)

    def _mirrored(self, draws: dict[str, Tensor]) -> Tensor:
        return draws["flip"] < self.probability


class Jitter(Augmentation):
    """Change the brightness and contrast of each view at random.

    The factors apply to the image as the network sees it, without clamping.

    Args:
        brightness: Brightness factors are uniform between 1 - `brightness` (at least 0) and 1 + `brightness`.
        contrast: Contrast factors are uniform between 1 - `contrast` (at least 0) and 1 + `contrast`.
        probability: Probability that brightness and contrast are changed.
    """

    def __init__(
        self,
        *,
        brightness: Annotated[float, Ge(0), at_most(1000)] = 0.4,
        contrast: Annotated[float, Ge(0), at_most(1000)] = 0.4,
        probability: Probability = 0.8,
    ) -> None:
        self.probability = probability
        widths = {"brightness": brightness, "contrast": contrast}
        factors = {name: Distribution.parse(f"uniform({max(0.0, 1 - w)}, {1 + w})") for name, w in widths.items()}
        self.priors = factors | {"jitter": UNIT}

    def augment(self, images: Tensor, draws: dict[str, Tensor]) -> Tensor:
        jittered = draws["jitter"] < self.probability
        brightness, contrast = (torch.where(jittered, draws[name], 1.0) for name in ("brightness", "contrast"))
        return jitter(images, brightness, contrast)


class Blur(Augmentation):
    """Convolve each view with a Gaussian at random.

    Args:
        sigma: Standard deviation of the Gaussian, in pixels of an image of 224 pixels as in the papers. It is scaled
            with the size of the images.
        kernel: Width of the blur's kernel, also in pixels of an image of 224 pixels.
        probability: Probability that a view is blurred.
    """

    def __init__(
        self,
        *,
        sigma: Distribution = "uniform(0.1, 2)",  # type: ignore[assignment]
        kernel: Annotated[int, Gt(0), at_most(1001)] = 23,
        probability: Probability = 0.5,
    ) -> None:
        sigma = Distribution.parse(sigma)
        if sigma.bounds[0] < 0:
            raise UsageError(f"sigma is {sigma}: the standard deviation of a blur must be 0 or more")
        self.kernel, self.probability = kernel, probability
        self.priors = {"blur_sigma": sigma, "blur": UNIT}

    def augment(self, images: Tensor, draws: dict[str, Tensor]) -> Tensor:
        pixels = images.shape[-1] / PAPER_SIZE
        sigma = torch.where(draws["blur"] < self.probability, draws["blur_sigma"] * pixels, 0.0)
        # A border can be reflected by at most the image's size minus one pixel.
        return gaussian_blur(images, sigma, min(round(self.kernel // 2 * pixels), min(images.shape[-2:]) - 1))
