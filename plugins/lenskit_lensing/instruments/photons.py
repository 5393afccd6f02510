"""Numbers of photons: Poisson's distribution as a function of the mean and of a normal random number."""

from __future__ import annotations

import torch
from torch import Tensor

FEW = 4.0
"""Mean up to which probabilities are added up one by one."""

MOST = 22
"""Counts up to which they are: with a mean of 4 more have a probability of 1e-10."""

RAREST = 5.0
"""Normal numbers above it, one in 3.5 million, count as this one: float32 has no digits for what is left of 1 there."""


def photons(mean: Tensor, normal: Tensor) -> Tensor:
    """Poisson counts by inverse transform: as rare among Poisson counts as the normal number is among normal ones.

    Up to a mean of 4 the probabilities are added up until they reach the normal number's, exact but for the rounding of
    float32; normal numbers above 5 are taken as 5 there. Above it Cornish and Fisher's expansion of the quantile is
    rounded down (Giles 2016, https://doi.org/10.1145/2699466, his Q_N2): of 1,000 counts at most two are then off, and
    by one.

    No shape depends on the data, and each pixel's count on nothing but its own mean and number.

    Args:
        mean: Expected counts, at least 0.
        normal: Standard normal numbers of the same shape.

    Returns:
        Whole numbers, of the shape and the type of the mean.
    """
    return torch.where(mean <= FEW, _few(mean.clamp(max=FEW), normal), _many(mean.clamp(min=FEW), normal))


def _few(mean: Tensor, normal: Tensor) -> Tensor:
    # What is left of the normal number's probability: the count is how many terms it takes to use it up.
    left = torch.special.ndtr(normal.clamp(max=RAREST))
    term = (-mean).exp()
    counts = torch.zeros_like(mean)
    for count in range(1, MOST + 1):
        left.sub_(term)
        counts += left.sign().relu_()
        if left.device.type == "cpu" and count % 4 == 0 and not left.amax() > 0:
            break  # no pixel has more; on a GPU the host would have to wait to know
        term.mul_(mean).div_(count)
    return counts


def _many(mean: Tensor, normal: Tensor) -> Tensor:
    root, w2 = mean.sqrt(), normal * normal
    quantile = mean + root * normal + (1 / 3 + w2 / 6) - normal * (1 / 36 + w2 / 72) / root
    return (quantile + (w2 * (7 / 810 + w2 / 270) - 8 / 405) / mean).floor_().clamp_(min=0)
