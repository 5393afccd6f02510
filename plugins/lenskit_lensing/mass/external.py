"""Deflections of what lies around a lens or along the line of sight."""

from __future__ import annotations

from torch import Tensor

from lenskit_lensing.mass.coordinates import columns


def shear(x: Tensor, y: Tensor, *, gamma1: Tensor, gamma2: Tensor) -> tuple[Tensor, Tensor]:
    """Deflection of external shear about the frame's origin, in arcsec.

    Args:
        x: Positions in arcsec.
        y: Positions in arcsec.
        gamma1: Shear along the axes.
        gamma2: Shear along the diagonals.
    """
    gamma1, gamma2 = columns(gamma1, gamma2)
    return gamma1 * x + gamma2 * y, gamma2 * x - gamma1 * y
