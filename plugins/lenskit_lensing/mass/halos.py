"""Deflections of spherical haloes: NFW, truncated NFW and pseudo-Jaffe profiles.

The formulas avoid cancellation, both near the centre and where a formula changes. Deflections and their derivatives are
therefore accurate in float32 at any radius.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from lenskit_lensing.mass.coordinates import R2_FLOOR, columns, offsets

NEAR = 2e-3
"""Range of |1 - (r / Rs)^2| where a series of five terms, with an error of 3e-15, replaces the formulas at r = Rs."""


def nfw(
    x: Tensor, y: Tensor, *, Rs: Tensor, alpha_Rs: Tensor, center_x: Tensor, center_y: Tensor
) -> tuple[Tensor, Tensor]:
    """Deflection of the NFW profile, lenstronomy's NFW.

    rho ~ 1 / (r (r + Rs)^2).

    Wright & Brainerd (2000, https://arxiv.org/abs/astro-ph/9908213).

    Args:
        x: Positions in arcsec.
        y: Positions in arcsec.
        Rs: Scale radius in arcsec, above 0.
        alpha_Rs: Deflection at the scale radius in arcsec.
        center_x: Centre in arcsec.
        center_y: Centre in arcsec.

    Returns:
        The deflection's components in arcsec, (n, height, width) each.
    """
    dx, dy = offsets(x, y, center_x, center_y)
    scale, inverse = columns(_central_strength(Rs, alpha_Rs), 1 / Rs)
    x2 = ((dx * inverse) ** 2 + (dy * inverse) ** 2).clamp_(min=R2_FLOOR)
    log, h, F, is_inner = _nfw(x2)
    scale = scale * torch.lerp((F - log).div_(x2), h, is_inner)
    return scale * dx, scale * dy


def tnfw(
    x: Tensor, y: Tensor, *, Rs: Tensor, alpha_Rs: Tensor, r_trunc: Tensor, center_x: Tensor, center_y: Tensor
) -> tuple[Tensor, Tensor]:
    """Deflection of the truncated NFW profile, lenstronomy's TNFW.

    The density of NFW is multiplied by r_trunc^2 / (r^2 + r_trunc^2).

    Baltz, Marshall & Oguri (2009, https://arxiv.org/abs/0705.0682), with the factor x^2 taken out of all terms. Let
    x = r / Rs, tau = r_trunc / Rs, q = sqrt(tau^2 + x^2), d = 1 / (tau (q + tau)), and h, F and L = ln(2 / x) as in
    `_nfw`. The mass within r, divided by x^2, is tau^2 / (tau^2 + 1)^2 times

        (tau^2 - 1) (h - d (L + ln tau) - (1 + d x^2) ln(1 + d x^2 / 2) / x^2) + 2 F - pi / (q + tau).

    Args:
        x: Positions in arcsec.
        y: Positions in arcsec.
        Rs: Scale radius in arcsec, above 0.
        alpha_Rs: Deflection in arcsec that the profile would have at the scale radius without its truncation.
        r_trunc: Truncation radius in arcsec, above 0.
        center_x: Centre in arcsec.
        center_y: Centre in arcsec.

    Returns:
        The deflection's components in arcsec, (n, height, width) each.
    """
    dx, dy = offsets(x, y, center_x, center_y)
    tau = r_trunc / Rs
    t2 = tau * tau
    scale, inverse = columns(_central_strength(Rs, alpha_Rs) * t2 / (t2 + 1) ** 2, 1 / Rs)
    tau, t2, log_tau = columns(tau, t2, tau.log())
    x2 = ((dx * inverse) ** 2 + (dy * inverse) ** 2).clamp_(min=R2_FLOOR)
    log, h, F, is_inner = _nfw(x2)
    F, h = torch.lerp(F, log + x2 * h, is_inner), torch.lerp((F - log).div_(x2), h, is_inner)
    q = (t2 + x2).sqrt() + tau
    d = 1 / (tau * q)
    dx2 = d * x2
    bracket = h - d * (log + log_tau) - (1 + dx2) * torch.log1p(dx2 / 2) / x2
    scale = scale * ((t2 - 1) * bracket + 2 * F - math.pi / q)
    return scale * dx, scale * dy


def pjaffe(
    x: Tensor, y: Tensor, *, sigma0: Tensor, Ra: Tensor, Rs: Tensor, center_x: Tensor, center_y: Tensor
) -> tuple[Tensor, Tensor]:
    """Deflection of the pseudo-Jaffe profile, lenstronomy's PJAFFE.

    rho ~ 1 / ((r^2 + Ra^2) (r^2 + Rs^2)).

    Eliasdottir et al. (2007, https://arxiv.org/abs/0710.5636), equation A20, in a form without cancellation that also
    allows equal radii. With A = sqrt(Ra^2 + r^2) and S = sqrt(Rs^2 + r^2),

        alpha = 2 sigma0 Ra Rs (1 + (Ra + Rs) / (A + S)) / ((Ra + A) (Rs + S)) r.

    Args:
        x: Positions in arcsec.
        y: Positions in arcsec.
        sigma0: Normalisation: kappa = sigma0 Ra Rs / (Rs - Ra) (1 / A - 1 / S), sigma0 at the centre.
        Ra: Core radius in arcsec, above 0.
        Rs: Truncation radius in arcsec, above 0.
        center_x: Centre in arcsec.
        center_y: Centre in arcsec.

    Returns:
        The deflection's components in arcsec, (n, height, width) each.
    """
    dx, dy = offsets(x, y, center_x, center_y)
    scale, Ra, Rs = columns(2 * sigma0 * Ra * Rs, Ra, Rs)
    r2 = dx * dx + dy * dy
    A, S = (Ra * Ra + r2).sqrt(), (Rs * Rs + r2).sqrt()
    scale = scale * (1 + (Ra + Rs) / (A + S)) / ((Ra + A) * (Rs + S))
    return scale * dx, scale * dy


def _central_strength(Rs: Tensor, alpha_Rs: Tensor) -> Tensor:
    """4 rho_0 Rs / Sigma_crit of an NFW profile."""
    return alpha_Rs / (Rs * (1 - math.log(2)))


def _nfw(x2: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return parts of the deflection of an NFW profile at x^2.

    F = arcosh(1 / x) / sqrt(1 - x^2) for x < 1, and its analytic continuation for x > 1.

    The mass within x is proportional to F - L with L = ln(2 / x), and the deflection to h = (F - L) / x^2. For x < 1, h
    is computed without F - L, because F and L share a logarithm: F = (L + ln((1 + s) / 2)) / s with s = sqrt(1 - x^2).

    Returns:
        L; h, valid for x < 1; F, valid for x > 1 and near 1; and a mask, 1 where h is valid and 0 where F is.
    """
    log = math.log(2) - x2.log() / 2
    y = 1 - x2
    s = y.abs().clamp_(min=NEAR).sqrt_()
    one_s = 1 + s
    inner_x2 = x2.clamp(max=1)
    inner = (log / one_s + (inner_x2 / (-2 * one_s)).log1p().div_(inner_x2)).div_(s)

    near_y = y.clamp(-NEAR, NEAR)
    series = 1 + near_y * (1 / 3 + near_y * (1 / 5 + near_y * (1 / 7 + near_y / 9)))
    outer = torch.lerp(series, s.atan() / s, _is_positive(-NEAR - y.detach()))
    return log, inner, outer, _is_positive(y.detach() - NEAR)


def _is_positive(values: Tensor) -> Tensor:
    """Return one where values are positive, else zero, in place.

    `torch.lerp` with such a mask takes a tenth of the time of `torch.where`.
    """
    return values.sign_().relu_()
