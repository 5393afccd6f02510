"""More noise."""

from __future__ import annotations

import torch
from torch import Tensor

from lenskit.plugin import Distribution, KeyedGenerator, Transform, UsageError
from lenskit.toolbox import border_noise


class Noise(Transform):
    """White noise in addition to what an image has, of a level of its own for every view.

    The level counts in units of the view's own noise, which is that of its border, so that it means the same whatever
    the unit, the stretch and the size of the images: with 1 the sky is as noisy as in half of the exposure time. It
    is added to the image as a network sees it: after a stretch, and after resizing. On the sky, where
    asinh(x / 3 sigma) is nearly linear, that is (to 6 %) what a shorter exposure would have added; where an arc or a
    lens is bright, the stretch has made its noise small, and what is added stands for more, as photon noise does.

    It comes before a crop in a composition (`noise+crop`, `lens-fixed+noise+crop`): a crop's border says less of the
    noise.

    Args:
        level: Standard deviation of the noise that is added, over that of the border.
    """

    def __init__(self, *, level: Distribution = "uniform(0, 2)") -> None:  # type: ignore[assignment]
        self.level = Distribution.parse(level)
        if self.level.bounds[0] < 0:
            raise UsageError(f"level is {self.level}: a level of noise is not negative")

    def transform(
        self, images: Tensor, parameters: dict[str, Tensor], rng: KeyedGenerator
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Adds noise to each view. The recorded parameters, a level of noise among them, are those before it."""
        views = range(images.shape[1])
        levels = rng.samples({f"level/{view}": self.level for view in views}).values()
        sigma = torch.stack(list(levels), 1)[..., None, None, None] * border_noise(images)
        noise = torch.stack([rng.noise(f"noise/{view}", *images.shape[2:]) for view in views], 1)
        return images + sigma * noise, parameters
