"""White noise added to each view."""

from __future__ import annotations

import torch
from torch import Tensor

from lenskit.plugin import Distribution, KeyedGenerator, Transform, UsageError
from lenskit.toolbox import border_noise


class Noise(Transform):
    """Add white noise to each view, with a random level for each.

    The level is in units of the noise of the view, measured at its border. It therefore does not depend on the unit,
    stretch and size of the images. With level 1, the sky is as noisy as in half of the exposure time.

    The noise is added to the image as the network sees it: after the stretch and after resizing. On the sky
    asinh(x / 3 sigma) is nearly linear, so the added noise equals (to 6 %) the noise of a shorter exposure. Where an
    arc or a lens is bright, the stretch has reduced the noise. There, the same added noise represents more noise before
    the stretch, as photon noise does.

    In a composition, put `noise` before a crop (`noise+crop`, `lens-fixed+noise+crop`): the border of a crop is a worse
    measure of the noise.

    Args:
        level: Standard deviation of the added noise, divided by the standard deviation of the border.
    """

    def __init__(self, *, level: Distribution = "uniform(0, 2)") -> None:  # type: ignore[assignment]
        self.level = Distribution.parse(level)
        if self.level.bounds[0] < 0:
            raise UsageError(f"level is {self.level}: a noise level must be 0 or more")

    def transform(
        self, images: Tensor, parameters: dict[str, Tensor], rng: KeyedGenerator
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Add noise to each view; keep the recorded parameters.

        A recorded noise level is the level before noise is added.
        """
        views = range(images.shape[1])
        levels = rng.samples({f"level/{view}": self.level for view in views}).values()
        sigma = torch.stack(list(levels), 1)[..., None, None, None] * border_noise(images)
        noise = torch.stack([rng.noise(f"noise/{view}", *images.shape[2:]) for view in views], 1)
        return images + sigma * noise, parameters
