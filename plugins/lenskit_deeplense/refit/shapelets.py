"""Gauss-Hermite shapelets: any surface brightness as a sum of a few functions.

Refregier 2003 (https://arxiv.org/abs/astro-ph/0105178); as sources of lenses, Birrer et al. 2015
(https://arxiv.org/abs/1504.07629).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor


def count(order: int) -> int:
    """Return the number of shapelets up to an order."""
    return (order + 1) * (order + 2) // 2


def orders(order: int) -> list[int]:
    """Return the order of each shapelet, in the sequence of `shapelets`."""
    return [n for n in range(order + 1) for _ in range(n + 1)]


def shapelets(x: Tensor, y: Tensor, scale: Tensor, order: int) -> Tensor:
    """Return all shapelets up to an order.

    They are phi_i(x / scale) phi_j(y / scale) with i + j <= order. The functions
    phi_i(t) = (2^i sqrt(pi) i!)^(-1/2) H_i(t) exp(-t^2 / 2) are orthonormal. Shapelets are sorted by order, and by j
    within an order, as in lenstronomy's SHAPELETS.

    Args:
        x: Positions (n, height, width).
        y: Positions, the same shape.
        scale: (n,) in the unit of the positions, above 0.
        order: Highest order.

    Returns:
        (n, count(order), height, width).
    """
    in_x, in_y = (_hermite(each / scale[:, None, None], order) for each in (x, y))
    return torch.stack([in_x[n - j] * in_y[j] for n in range(order + 1) for j in range(n + 1)], 1)


def _hermite(t: Tensor, order: int) -> list[Tensor]:
    """Return phi_0 to phi_order by their recurrence relation."""
    functions = [math.pi**-0.25 * torch.exp(-0.5 * t * t)]
    before = torch.zeros_like(t)
    for i in range(order):
        functions.append(math.sqrt(2 / (i + 1)) * t * functions[-1] - math.sqrt(i / (i + 1)) * before)
        before = functions[-2]
    return functions
