"""Elliptical coordinates, which mass and light have in common.

With z = x + iy from the centre and e = e1 + i e2 = (1 - q) / (1 + q) exp(2i phi), of the axis ratio q and the position
angle phi from +x towards +y, they are zeta = z - e conj(z), free of angles: |zeta| / sqrt(1 - |e|^2) =
sqrt(q x'^2 + y'^2 / q) along the axes x', y'.
"""

from __future__ import annotations

from torch import Tensor

R2_FLOOR = 1e-18
"""Smallest squared radius: within it directions shrink to zero, and no derivative overflows, not in float32 either."""


def columns(*parameters: Tensor) -> tuple[Tensor, ...]:
    """Parameters (n,) in the shape (n, 1, 1) that broadcasts with positions."""
    return tuple(parameter[:, None, None] for parameter in parameters)


def offsets(x: Tensor, y: Tensor, center_x: Tensor, center_y: Tensor) -> tuple[Tensor, Tensor]:
    """Positions relative to centres (n,)."""
    center_x, center_y = columns(center_x, center_y)
    return x - center_x, y - center_y


def elliptical(
    x: Tensor, y: Tensor, e1: Tensor, e2: Tensor, center_x: Tensor, center_y: Tensor
) -> tuple[Tensor, Tensor]:
    """Elliptical coordinates zeta = z - e conj(z), real and imaginary part."""
    e1, e2, center_x, center_y = columns(e1, e2, center_x, center_y)
    dx, dy = x - center_x, y - center_y
    if dx.shape == dy.shape:
        return ((1 - e1) * dx).addcmul_(e2, dy, value=-1), ((1 + e1) * dy).addcmul_(e2, dx, value=-1)
    # A row and a column: two small products and one pass over the pixels.
    return (1 - e1) * dx - e2 * dy, (1 + e1) * dy - e2 * dx
