"""Photon counts: Poisson numbers from their mean and normal random numbers."""

from __future__ import annotations

import torch
from torch import Tensor

FEW = 4.0
"""Mean up to which probabilities are summed one by one."""

MOST = 22
"""Largest count in that sum: with a mean of 4, larger counts have a probability of 1e-10."""

RAREST = 5.0
"""Limit of normal numbers, exceeded by one in 3.5 million: float32 cannot resolve smaller tail probabilities."""


def photons(mean: Tensor, normal: Tensor) -> Tensor:
    """Return Poisson counts by inverse transform of normal numbers.

    Up to a mean of 4 the probabilities are summed until they reach the cumulative probability of the normal number.
    This is exact to the rounding of float32; normal numbers above 5 count as 5. For larger means the Cornish-Fisher
    expansion of the quantile is rounded down (Giles 2016, https://doi.org/10.1145/2699466, his Q_N2). At most two of
    1,000 counts then differ, by one.

    The shapes of tensors do not depend on the data, and the count of each pixel depends only on its own mean and
    number.

    Args:
        mean: Expected counts, at least 0.
        normal: Standard normal numbers of the same shape.

    Returns:
        Whole numbers, of the shape and dtype of the mean.
    """
    return torch.where(mean <= FEW, _few(mean.clamp(max=FEW), normal), _many(mean.clamp(min=FEW), normal))


def _few(mean: Tensor, normal: Tensor) -> Tensor:
    # Remaining probability of the normal number: the count is the number of terms until it is zero.
    left = torch.special.ndtr(normal.clamp(max=RAREST))
    term = (-mean).exp()
    counts = torch.zeros_like(mean)
    for count in range(1, MOST + 1):
        left.sub_(term)
        counts += left.sign().relu_()
        if left.device.type == "cpu" and count % 4 == 0 and not left.amax() > 0:
            break  # the maximum for all pixels, because a data-dependent number would synchronise a GPU with the host
        term.mul_(mean).div_(count)
    return counts


def _many(mean: Tensor, normal: Tensor) -> Tensor:
    root, w2 = mean.sqrt(), normal * normal
    quantile = mean + root * normal + (1 / 3 + w2 / 6) - normal * (1 / 36 + w2 / 72) / root
    return (quantile + (w2 * (7 / 810 + w2 / 270) - 8 / 405) / mean).floor_().clamp_(min=0)
