"""Deflections of external shear, a mass sheet and a point mass."""

from __future__ import annotations

from torch import Tensor

from lenskit_lensing.mass.coordinates import R2_FLOOR, columns, offsets


def shear(
    x: Tensor,
    y: Tensor,
    *,
    gamma1: Tensor,
    gamma2: Tensor,
    ra_0: Tensor | None = None,
    dec_0: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Deflection of external shear, in arcsec: lenstronomy's SHEAR.

    Args:
        x: Positions in arcsec.
        y: Positions in arcsec.
        gamma1: Shear along the axes.
        gamma2: Shear along the diagonals.
        ra_0: Position without deflection in arcsec; by default the origin of the frame.
        dec_0: The same along y.
    """
    gamma1, gamma2 = columns(gamma1, gamma2)
    if ra_0 is not None:
        x = x - columns(ra_0)[0]
    if dec_0 is not None:
        y = y - columns(dec_0)[0]
    return gamma1 * x + gamma2 * y, gamma2 * x - gamma1 * y


def mass_sheet(x: Tensor, y: Tensor, *, kappa: Tensor, ra_0: Tensor, dec_0: Tensor) -> tuple[Tensor, Tensor]:
    """Deflection of a uniform sheet of mass: lenstronomy's CONVERGENCE.

    Args:
        x: Positions in arcsec.
        y: Positions in arcsec.
        kappa: Convergence; it may be negative.
        ra_0: Position without deflection in arcsec.
        dec_0: The same along y.

    Returns:
        The deflection's components in arcsec, (n, 1, width) and (n, height, 1) for a row and a column of positions.
    """
    dx, dy = offsets(x, y, ra_0, dec_0)
    (kappa,) = columns(kappa)
    return kappa * dx, kappa * dy


def point_mass(x: Tensor, y: Tensor, *, theta_E: Tensor, center_x: Tensor, center_y: Tensor) -> tuple[Tensor, Tensor]:
    """Deflection theta_E^2 / r of a point: lenstronomy's POINT_MASS.

    Args:
        x: Positions in arcsec.
        y: Positions in arcsec.
        theta_E: Einstein radius in arcsec.
        center_x: Position in arcsec.
        center_y: Position in arcsec.

    Returns:
        The deflection's components in arcsec, (n, height, width) each; zero at the point, and damped
        within 1e-9 arcsec of it.
    """
    dx, dy = offsets(x, y, center_x, center_y)
    scale = columns(theta_E * theta_E)[0] / (dx * dx + dy * dy).clamp(min=R2_FLOOR)
    return scale * dx, scale * dy
