"""Multi-crop views: two large crops and several small crops of one image.

"The paper" is DINO (Caron et al. 2021, https://arxiv.org/abs/2104.14294, Sec. 3), after SwAV
(https://arxiv.org/abs/2006.09882); "the authors' code" is https://github.com/facebookresearch/dino.
"""

from __future__ import annotations

from typing import Annotated

import torch
from annotated_types import Ge
from torch import Tensor

from lenskit.plugin import KeyedGenerator, Transform, at_most
from lenskit_siamese.transforms import Crop

LARGE = 2
"""Number of large crops; they come first."""


class MultiCrop(Transform):
    """Two large crops and several small crops of one image.

    Use them for methods with many views, such as `dino`.

    All crops are enlarged to the size of the image. In the paper the small crops are smaller images (96 pixels instead
    of 224), which saves time. Here all views have one size, so that every backbone accepts them, and a small crop costs
    as much as a large one. Add the paper's other augmentations by name: `--pairs multi-crop+flip+jitter+blur`.

    In a composition (`NAME+multi-crop`), this crops the views of the strategy before the plus: large crops for the
    first two views, small crops for all others. Crops do not change the recorded parameters, which describe the whole
    image.

    Args:
        small: Number of small crops (authors' code: 8; paper, Table 8: 10). The method must take 2 + `small` views; for
            `dino`, set `--set method.local_views=8`.
        large_scale: Smallest and largest area of the two large crops, as a fraction of the image's area (authors' code
            for ViTs; 0.14 to 1 for ResNets).
        small_scale: Smallest and largest area of the small crops, likewise (authors' code for ViTs; 0.05 to 0.14 for
            ResNets).
        ratio: Smallest and largest aspect ratio (width to height) of a crop.
    """

    def __init__(
        self,
        *,
        small: Annotated[int, Ge(0), at_most(100)] = 8,
        large_scale: tuple[float, float] = (0.4, 1.0),
        small_scale: tuple[float, float] = (0.05, 0.4),
        ratio: tuple[float, float] = (3 / 4, 4 / 3),
    ) -> None:
        self.views = LARGE + small
        self.large, self.small = Crop(scale=large_scale, ratio=ratio), Crop(scale=small_scale, ratio=ratio)

    def transform(
        self, images: Tensor, parameters: dict[str, Tensor], rng: KeyedGenerator
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Crop each view and enlarge it to its former size."""
        views = [self.large.transform(images[:, :LARGE], {}, rng.part("large"))[0]]
        if images.shape[1] > LARGE:
            views.append(self.small.transform(images[:, LARGE:], {}, rng.part("small"))[0])
        return torch.cat(views, 1), parameters
