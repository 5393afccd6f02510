"""Elliptical coordinates of mass and light profiles.

With the position z = x + iy relative to the centre and the ellipticity e = e1 + i e2, they are zeta = z - e conj(z).
The ellipticity is (1 - q) / (1 + q) exp(2i phi), with the axis ratio q and the position angle phi from +x towards +y.
The elliptical radius is |zeta| / sqrt(1 - |e|^2) = sqrt(q x'^2 + y'^2 / q), with x', y' along the axes of the ellipse.
No angle has to be computed.
"""

from __future__ import annotations

from torch import Tensor

R2_FLOOR = 1e-18
"""Smallest squared radius. Inside, directions shrink to zero, and derivatives do not overflow, not even in float32."""


def columns(*parameters: Tensor) -> tuple[Tensor, ...]:
    """Reshape parameters (n,) to (n, 1, 1), which broadcasts with positions."""
    return tuple(parameter[:, None, None] for parameter in parameters)


def offsets(x: Tensor, y: Tensor, center_x: Tensor, center_y: Tensor) -> tuple[Tensor, Tensor]:
    """Return positions relative to centres (n,)."""
    center_x, center_y = columns(center_x, center_y)
    return x - center_x, y - center_y


def elliptical(
    x: Tensor, y: Tensor, e1: Tensor, e2: Tensor, center_x: Tensor, center_y: Tensor
) -> tuple[Tensor, Tensor]:
    """Return elliptical coordinates zeta = z - e conj(z), real and imaginary part."""
    e1, e2, center_x, center_y = columns(e1, e2, center_x, center_y)
    dx, dy = x - center_x, y - center_y
    if dx.shape == dy.shape:
        return ((1 - e1) * dx).addcmul_(e2, dy, value=-1), ((1 + e1) * dy).addcmul_(e2, dx, value=-1)
    # A row and a column: two small products and one pass over the pixels.
    return (1 - e1) * dx - e2 * dy, (1 + e1) * dy - e2 * dx
