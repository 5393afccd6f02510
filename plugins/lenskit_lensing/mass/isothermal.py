"""Deflections of isothermal spheres and ellipsoids, in closed form."""

from __future__ import annotations

import torch
from torch import Tensor

from lenskit_lensing.mass.coordinates import R2_FLOOR, columns, elliptical, offsets

NEARLY_ROUND = 0.01
"""Ellipticity |e| below which a series replaces the closed form, whose derivatives would suffer from cancellation."""


def sis(x: Tensor, y: Tensor, *, theta_E: Tensor, center_x: Tensor, center_y: Tensor) -> tuple[Tensor, Tensor]:
    """Deflection of the singular isothermal sphere, lenstronomy's SIS.

    kappa = theta_E / (2 r).

    Args:
        x: Positions in arcsec.
        y: Positions in arcsec.
        theta_E: Einstein radius in arcsec.
        center_x: Centre in arcsec.
        center_y: Centre in arcsec.

    Returns:
        The deflection's components in arcsec, (n, height, width) each; zero at the centre.
    """
    dx, dy = offsets(x, y, center_x, center_y)
    scale = columns(theta_E)[0] * (dx * dx + dy * dy).clamp(min=R2_FLOOR).rsqrt()
    return scale * dx, scale * dy


def sie(
    x: Tensor, y: Tensor, *, theta_E: Tensor, e1: Tensor, e2: Tensor, center_x: Tensor, center_y: Tensor
) -> tuple[Tensor, Tensor]:
    """Deflection of the singular isothermal ellipsoid, lenstronomy's SIE.

    kappa = theta_E / (2 R).

    For gamma = 2, the series of the power law has a closed form in the elliptical coordinates zeta = |zeta| u (Kormann
    et al. 1994, https://ui.adsabs.harvard.edu/abs/1994A%26A...284..285K):

        alpha = theta_E sqrt(1 - |e|^2) arctan(conj(s) u) / conj(s),  s = sqrt(e).

    Args:
        x: Positions in arcsec.
        y: Positions in arcsec.
        theta_E: Einstein radius on the intermediate axis in arcsec.
        e1: Ellipticity, |e| < 1.
        e2: Ellipticity.
        center_x: Centre in arcsec.
        center_y: Centre in arcsec.

    Returns:
        The deflection's components in arcsec, (n, height, width) each; zero at the centre.
    """
    zeta_x, zeta_y = elliptical(x, y, e1, e2, center_x, center_y)
    scale = (zeta_x * zeta_x + zeta_y * zeta_y).clamp(min=R2_FLOOR).rsqrt()
    u, v = zeta_x * scale, zeta_y * scale
    norm2 = e1 * e1 + e2 * e2
    is_round = norm2 < NEARLY_ROUND**2
    strength, weight = columns(theta_E * (1 - norm2).sqrt(), is_round.to(norm2.dtype))
    # Values and derivatives must be finite in both branches, also where a branch is not used.
    closed = _arctan(u, v, torch.where(is_round, 0.5, e1), torch.where(is_round, 0.0, e2))
    series = _series(u, v, torch.where(is_round, e1, 0.0), torch.where(is_round, e2, 0.0))
    alpha_x, alpha_y = (strength * torch.lerp(far, near, weight) for far, near in zip(closed, series, strict=True))
    return alpha_x, alpha_y


def _arctan(u: Tensor, v: Tensor, e1: Tensor, e2: Tensor) -> tuple[Tensor, Tensor]:
    """Return arctan(conj(s) (u + iv)) / conj(s) with s = sqrt(e)."""
    norm = torch.hypot(e1, e2)
    phi = torch.atan2(e2, e1) / 2
    cos, sin, root, inner, outer = columns(phi.cos(), phi.sin(), norm.sqrt(), 1 - norm, 1 + norm)
    re = (2 * root / inner * (cos * u + sin * v)).atan() / (2 * root)
    im = (2 * root / outer * (cos * v - sin * u)).atanh() / (2 * root)
    return cos * re - sin * im, sin * re + cos * im


def _series(u: Tensor, v: Tensor, e1: Tensor, e2: Tensor) -> tuple[Tensor, Tensor]:
    """Return `_arctan` for small e as a series.

    It is (u + iv) sum_k w^k / (2k + 1), w = -conj(e) (u + iv)^2.
    """
    e1, e2 = columns(e1, e2)
    real, half_imag = u * u - v * v, u * v
    w_x, w_y = -(e1 * real + 2 * e2 * half_imag), e2 * real - 2 * e1 * half_imag
    sum_x, sum_y = torch.full_like(u, 1 / 9), torch.zeros_like(u)
    for k in (3, 2, 1, 0):
        sum_x, sum_y = 1 / (2 * k + 1) + w_x * sum_x - w_y * sum_y, w_x * sum_y + w_y * sum_x
    return u * sum_x - v * sum_y, u * sum_y + v * sum_x
