"""Pair strategies of SimSiam and of methods with a single view."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from annotated_types import Ge, Gt
from torch import Tensor

from lenskit.plugin import Distribution, PairStrategy, Parameter, UsageError, at_most
from lenskit_siamese.transforms import Augmentation, Blur, Crop, Flip, Jitter, Probability


class Single(PairStrategy):
    """One image, unchanged: for autoencoders and supervision."""

    draws = 1
    views = 1


class Default(Augmentation):
    """Two augmented copies of one image: random crop, flip, jitter and blur.

    These are the augmentations of SimSiam (https://arxiv.org/abs/2011.10566, Sec. 3, after SimCLR and MoCo v2). They
    compute in floating point for any number of channels and do not clamp, so that negative noise and a stretch are
    preserved. Saturation, hue and grayscale are left out: they mix red, green and blue as the eye sees them, and the
    bands of a survey are not these colours. For one band they have no effect.

    Each augmentation is also a pair strategy: `crop`, `flip`, `jitter`, `blur`. A flip changes the recorded parameters.
    A crop does not: they describe the whole image.

    Args:
        scale: Smallest and largest area of the crop, as a fraction of the image's area. The crop is enlarged to the
            image's size.
        ratio: Smallest and largest aspect ratio (width to height) of the crop.
        flip: Probability of a horizontal flip.
        brightness: Brightness factors are uniform between 1 - `brightness` (at least 0) and 1 + `brightness`.
        contrast: Contrast factors are uniform between 1 - `contrast` (at least 0) and 1 + `contrast`.
        jitter: Probability that brightness and contrast are changed.
        blur_sigma: Smallest and largest standard deviation of the Gaussian blur, in pixels of an image of 224 pixels as
            in the papers. It is scaled with the size of the images.
        blur_kernel: Width of the blur's kernel, also in pixels of an image of 224 pixels.
        blur: Probability of a blur.
    """

    attempts = Crop.attempts

    def __init__(
        self,
        *,
        scale: tuple[float, float] = (0.2, 1.0),
        ratio: tuple[float, float] = (3 / 4, 4 / 3),
        flip: Probability = 0.5,
        brightness: Annotated[float, Ge(0), at_most(1000)] = 0.4,
        contrast: Annotated[float, Ge(0), at_most(1000)] = 0.4,
        jitter: Probability = 0.8,
        blur_sigma: tuple[float, float] = (0.1, 2.0),
        blur_kernel: Annotated[int, Gt(0), at_most(1001)] = 23,
        blur: Probability = 0.5,
    ) -> None:
        low, high = blur_sigma
        if not 0 <= low <= high:
            raise UsageError(f"blur_sigma is {blur_sigma}: give two numbers, 0 <= low <= high")
        self.flip = Flip(probability=flip)
        self.parts: list[Augmentation] = [
            Crop(scale=scale, ratio=ratio),
            self.flip,
            Jitter(brightness=brightness, contrast=contrast, probability=jitter),
            Blur(sigma=Distribution.parse(f"uniform({low}, {high})"), kernel=blur_kernel, probability=blur),
        ]
        self.priors = {name: prior for part in self.parts for name, prior in part.priors.items()}

    def prepare(self, parameters: Sequence[Parameter], image_shape: tuple[int, int, int]) -> None:
        super().prepare(parameters, image_shape)
        self.flip.prepare(parameters, image_shape)

    def augment(self, images: Tensor, draws: dict[str, Tensor]) -> Tensor:
        for part in self.parts:
            images = part.augment(images, draws)
        return images

    def record(self, parameters: dict[str, Tensor], draws: list[dict[str, Tensor]]) -> dict[str, Tensor]:
        return self.flip.record(parameters, draws)
