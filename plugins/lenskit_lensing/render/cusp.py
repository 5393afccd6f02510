"""Average over pixels of light profiles with a steep centre.

If a Sersic profile with a high index is evaluated at the middle of pixels, its peak depends on the position of the
centre within the pixel. For n from 3 to 8 the peak is wrong by -19 to +39 % (5 to 95 %), even after a PSF. The 5 x 5
pixels around the centre are therefore averaged by a Gauss-Legendre rule along each axis, with nodes that crowd towards
the centre. Pixels are cut at the coordinate of the centre. In each piece the distance from the centre is
r = a + (b - a) s^p, with Gauss-Legendre nodes s.

All 25 pixels together take 38 x 38 points. Relative to a converged rule, for n from 3 to 8 and axis ratios down to
0.13, the error of the central pixel is 5e-5 (median), 1e-3 (95 %) and 6e-3 (maximum). For 16 x 16 to 25 x 25 evenly
spaced points in every pixel, at least four times as many in total, these errors are 2e-3, 1e-2 and 4e-2.
"""

from __future__ import annotations

from functools import cache
from itertools import product
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

BLOCK = 5
"""Side in pixels of the averaged block."""

PIECES = ((10, 4), (6, 2), (3, 1))
"""Number of nodes and power p between the centre and its pixel's edge, in the next pixel and in the one after."""


class Rule(NamedTuple):
    """Positions and weights that average a profile over pixels along one axis.

    Attributes:
        first: (n,) int64, index of the first pixel of the block.
        nodes: (n, nodes) positions in arcsec.
        weights: (n, BLOCK, nodes), weights of the nodes in the average of each pixel.
    """

    first: Tensor
    nodes: Tensor
    weights: Tensor


def cusp_rule(center: Tensor, pixels: int, pixel_scale: float) -> Rule:
    """Return the rule along one axis for profiles centred at `center` (n,).

    The centre is in arcsec from the centre of the frame. Blocks stay within the frame. For a centre in the outer
    two pixels of the frame or outside, the rule is correct but less accurate.
    """
    place = center / pixel_scale + pixels / 2
    central = place.floor().clamp(BLOCK // 2, pixels - 1 - BLOCK // 2)
    left = (place - central).clamp_(0, 1)[:, None]
    still, moving, weights, changing = _parts(center.dtype, center.device)
    nodes = (left * moving).add_(still).add_(central[:, None]).sub_(pixels / 2).mul_(pixel_scale)
    return Rule(central.long() - BLOCK // 2, nodes, (left[:, :, None] * changing).add_(weights))


@cache
def _parts(dtype: torch.dtype, device: torch.device) -> tuple[Tensor, ...]:
    """Return nodes and weights as functions of the position of the centre.

    Nodes are in pixels from the left edge of the centre's pixel. For a centre at a fraction f of a pixel from that
    edge, nodes are `still + f moving` (nodes,) and weights `weights + f changing` (BLOCK, nodes). Only the pieces in
    the centre's pixel depend on f.
    """
    still, moving, weights, changing = [], [], [], []
    for side, (number, (count, power)) in product((-1, 1), enumerate(PIECES)):
        x, w = np.polynomial.legendre.leggauss(count)
        s = (x + 1) / 2
        weight = np.zeros((BLOCK, count))
        weight[BLOCK // 2 + side * number] = power * s ** (power - 1) * w / 2
        if number:  # from an edge of the centre's pixel outwards
            still.append(np.full(count, float(side > 0)) + side * (number - 1 + s**power))
            moving.append(np.zeros(count))
            weights.append(weight)
            changing.append(0 * weight)
        elif side < 0:  # from the centre at f to the left edge, at 0
            still.append(np.zeros(count))
            moving.append(1 - s**power)
            weights.append(0 * weight)
            changing.append(weight)
        else:  # from the centre at f to the right edge, at 1
            still.append(s**power)
            moving.append(1 - s**power)
            weights.append(weight)
            changing.append(-weight)
    parts = (np.concatenate(part, axis=-1) for part in (still, moving, weights, changing))
    return tuple(torch.from_numpy(part).to(device, dtype) for part in parts)


def put_blocks(images: Tensor, values: Tensor, rule_x: Rule, rule_y: Rule) -> Tensor:
    """Replace the pixels around the centres by their averages, in place.

    Args:
        images: (n, height, width).
        values: (n, nodes along y, nodes along x), the profile at the nodes of the rules.
        rule_x: The rule along x.
        rule_y: The rule along y.
    """
    averages = rule_y.weights @ values @ rule_x.weights.mT
    row = torch.arange(len(images), device=images.device)[:, None, None]
    step = torch.arange(BLOCK, device=images.device)
    y, x = (rule_y.first[:, None] + step)[:, :, None], (rule_x.first[:, None] + step)[:, None, :]
    images[row, y, x] = averages
    return images
