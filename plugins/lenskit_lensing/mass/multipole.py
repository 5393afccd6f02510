"""Deflection of multipoles, which make a lens differ from an ellipse."""

from __future__ import annotations

import torch
from torch import Tensor

from lenskit.plugin import UsageError
from lenskit_lensing.mass.coordinates import R2_FLOOR, columns, offsets


def multipole(
    x: Tensor,
    y: Tensor,
    *,
    m: int,
    a_m: Tensor,
    phi_m: Tensor,
    center_x: Tensor,
    center_y: Tensor,
    r_E: Tensor | float | None = None,
) -> tuple[Tensor, Tensor]:
    """Deflection of a multipole, lenstronomy's MULTIPOLE.

    kappa = a_m / (2 r) cos(m (phi - phi_m)).

    After Xu et al. (2015, https://arxiv.org/abs/1307.4220), equation B12. On a round isothermal lens, a_m / theta_E is
    the relative amplitude of the isodensity contours' departure from a circle.

    Args:
        x: Positions in arcsec.
        y: Positions in arcsec.
        m: Order, an integer of at least 2, the same for all lenses of a batch.
        a_m: Amplitude in arcsec.
        phi_m: Orientation from +x towards +y in radians.
        center_x: Centre in arcsec.
        center_y: Centre in arcsec.
        r_E: Ignored. lenstronomy has this parameter, and uses it for m = 1 only.

    Returns:
        The deflection's components in arcsec, (n, height, width) each; zero at the centre, where they have no limit.
    """
    if m != int(m) or m < 2:
        raise UsageError(f"a multipole of order m = {m}; m must be an integer of at least 2")
    dx, dy = offsets(x, y, center_x, center_y)
    scale = (dx * dx + dy * dy).clamp(min=R2_FLOOR).rsqrt()
    cos, sin = dx * scale, dy * scale
    power_x, power_y = cos, sin
    for _ in range(int(m) - 1):
        power_x, power_y = power_x * cos - power_y * sin, power_x * sin + power_y * cos
    strength = a_m / (1 - m * m)
    along, across = columns(strength * torch.cos(m * phi_m), strength * torch.sin(m * phi_m))
    even = along * power_x + across * power_y
    odd = m * (along * power_y - across * power_x)
    return cos * even + sin * odd, sin * even - cos * odd
