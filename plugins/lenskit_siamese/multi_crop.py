"""The crops of DINO and its relatives: two large ones and some small ones of one image.

"The paper" is DINO (Caron et al. 2021, https://arxiv.org/abs/2104.14294, Sec. 3), after SwAV
(https://arxiv.org/abs/2006.09882), "the authors' code" https://github.com/facebookresearch/dino.
"""

from __future__ import annotations

from typing import Annotated

import torch
from annotated_types import Ge
from torch import Tensor

from lenskit.plugin import KeyedGenerator, Transform, at_most
from lenskit_siamese.transforms import Crop

LARGE = 2
"""Large crops; these come first."""


class MultiCrop(Transform):
    """One image, cropped twice in large and some times in small, for methods of many views such as `dino`.

    All crops are enlarged to the size of the image. Here it departs from the paper, whose small crops come to the
    network as smaller images (96 pixels instead of 224, to save time): views are of one size here, so that every
    backbone takes them, and a small crop costs as much as a large one. The paper's other augmentations are there by
    themselves: `--pairs multi-crop+flip+jitter+blur`.

    Behind a plus it crops the views that stand before it: the first two in large, any others in small. The recorded
    parameters stay those of the whole image: a crop is not entered into them.

    Args:
        small: How many small crops there are (authors' code: 8; paper, Table 8: 10). The method has to take 2 + `small`
            views: `--set method.local_views=8` of `dino`.
        large_scale: Smallest and largest area of the two large crops, as a fraction of the image's (authors' code for
            ViTs; 0.14 to 1 for ResNets).
        small_scale: The same for small crops (authors' code for ViTs; 0.05 to 0.14 for ResNets).
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
        """Crops each view; it keeps its size."""
        views = [self.large.transform(images[:, :LARGE], {}, rng.part("large"))[0]]
        if images.shape[1] > LARGE:
            views.append(self.small.transform(images[:, LARGE:], {}, rng.part("small"))[0])
        return torch.cat(views, 1), parameters
