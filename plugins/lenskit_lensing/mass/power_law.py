"""Deflection of elliptical power laws."""

from __future__ import annotations

import math
from functools import cache

import torch
from torch import Tensor
from torch.autograd.forward_ad import unpack_dual

from lenskit_lensing.mass.coordinates import R2_FLOOR, columns, elliptical

TOLERANCE = {torch.float32: 3e-6, torch.float64: 1e-10}
"""Relative truncation error of the power law's series; deflections are then within 1e-5 and 1e-9 arcsec."""

_TINY = 1e-30
"""Added to |e|^2, so that |e| has a derivative at e = 0."""


def epl_terms(ellipticity: float, tolerance: float) -> int:
    """Return the number of terms of the power law's series.

    The error is proportional to |e| to the power of this number. Choose it from the upper limit of the prior. If it
    depended on the batch, an image would depend on the other images in the batch.

    Args:
        ellipticity: Upper bound of |e|, below 1.
        tolerance: Relative truncation error, for example one of `TOLERANCE`.
    """
    if ellipticity < tolerance:
        return 2
    return math.ceil(math.log(tolerance) / math.log(ellipticity)) + 2


def epl(
    x: Tensor,
    y: Tensor,
    *,
    theta_E: Tensor,
    gamma: Tensor,
    e1: Tensor,
    e2: Tensor,
    center_x: Tensor,
    center_y: Tensor,
    terms: int,
) -> tuple[Tensor, Tensor]:
    """Deflection of the elliptical power law, lenstronomy's EPL.

    kappa = (3 - gamma) / 2 (theta_E / R)^(gamma - 1).

    Tessore & Metcalf (2015, https://arxiv.org/abs/1507.01819) give the deflection as a hypergeometric series. In
    the elliptical coordinates zeta, with t = gamma - 1 and the elliptical radius R = |zeta| / sqrt(1 - |e|^2),

        alpha = (theta_E / R)^t zeta sum_k c_k w^k,  w = -conj(e) zeta / conj(zeta),
        c_k = prod_{j=1..k} (2j - (2 - t)) / (2j + (2 - t)).

    |w| = |e| is constant for each lens. The sum is therefore a Fourier series of the angle, evaluated by Clenshaw's
    recurrence with two passes over the pixels per term. If no gradients are needed, `_halfway` reduces the number of
    terms by the use of a rounder ellipse.

    Args:
        x: Positions in arcsec.
        y: Positions in arcsec.
        theta_E: Einstein radius on the intermediate axis in arcsec, above 0.
        gamma: Slope of the density in three dimensions, between 1 and 3; 2 is isothermal.
        e1: Ellipticity, |e| < 1.
        e2: Ellipticity.
        center_x: Centre in arcsec.
        center_y: Centre in arcsec.
        terms: Length of the series, see `epl_terms`.

    Returns:
        The deflection's components in arcsec, (n, height, width) each; zero at the centre.
    """
    t = gamma - 1
    ellipticity = (e1 * e1 + e2 * e2 + _TINY).sqrt()
    cos, sin, exponent = columns(e1 / ellipticity, e2 / ellipticity, -t / 2)
    coefficients = _coefficients(t, ellipticity, terms)

    zeta_x, zeta_y = elliptical(x, y, e1, e2, center_x, center_y)
    eta_x, eta_y = zeta_x, zeta_y
    differentiable = torch.is_grad_enabled() and (zeta_x.requires_grad or coefficients.requires_grad)
    fewer = _enough(terms, x.dtype)
    if fewer < terms and not differentiable:
        half = 1 / (1 + (1 - ellipticity * ellipticity).sqrt())
        coefficients = _halfway(coefficients, ellipticity * half, fewer)
        eta_x, eta_y = elliptical(x, y, e1 * half, e2 * half, center_x, center_y)

    xx, yy = eta_x * eta_x, eta_y * eta_y
    eta2 = (xx + yy).clamp_(min=R2_FLOOR)
    re, half_im = (xx - yy).div_(eta2), (eta_x * eta_y).div_(eta2)
    u, v = (cos * re).addcmul_(2 * sin, half_im), (2 * cos * half_im).addcmul_(sin, re, value=-1)

    sum_re, sum_im = _fourier(coefficients, u, v)
    strength = t * (theta_E.log() + torch.log1p(-ellipticity * ellipticity) / 2)
    zeta2 = (zeta_x * zeta_x).addcmul_(zeta_y, zeta_y).clamp_(min=R2_FLOOR)
    scale = (exponent * zeta2.log_()).add_(strength[:, None, None]).exp_()
    alpha_x = (zeta_x * sum_re).addcmul_(zeta_y, sum_im, value=-1).mul_(scale)
    alpha_y = (zeta_x * sum_im).addcmul_(zeta_y, sum_re).mul_(scale)
    return alpha_x, alpha_y


def _coefficients(t: Tensor, ellipticity: Tensor, terms: int) -> Tensor:
    """c_k (-|e|)^k for k = 0 .. terms - 1: (n, terms)."""
    k = torch.arange(1, terms, dtype=t.dtype, device=t.device)
    t, ellipticity = t[:, None], ellipticity[:, None]
    ratios = -ellipticity * (2 * k - (2 - t)) / (2 * k + (2 - t))
    return torch.cat([torch.ones_like(t), ratios.cumprod(1)], dim=1)


def _enough(terms: int, dtype: torch.dtype) -> int:
    """Return the number of terms that `_halfway` needs for the same truncation error.

    With |e| = 1 / cosh(ln(1 / |h|)), ln(1 / |h|) is at least sqrt(2 ln(1 / |e|)).
    """
    return math.ceil(math.sqrt(-math.log(torch.finfo(dtype).eps) * terms / 2))


def _halfway(coefficients: Tensor, half_ellipticity: Tensor, terms: int) -> Tensor:
    """Return Fourier coefficients of the same sum in the angle of eta.

    eta = z - h conj(z), with |h| = |e| / (1 + sqrt(1 - |e|^2)).

    h is the ellipticity of an ellipse of axis ratio sqrt(q). Relative to the major axis, zeta and eta have directions
    phi / 2 and chi / 2 with tan(phi / 2) = tan(chi / 2) / sqrt(q). This is a Moebius transform of e^(i chi) to
    e^(i phi), so the sum is a power series in either variable. The series in e^(i chi) converges as |h|^k instead of
    |e|^k. No other ellipse gives faster convergence, because the singularities outside the circle are then equally far
    away at both ends.

    Args:
        coefficients: (n, k) of the series in e^(i phi).
        half_ellipticity: (n,) |h|.
        terms: Number of terms of the series in e^(i chi).

    Returns:
        (n, terms): the Fourier coefficients of the real part by a discrete cosine transform.
    """
    chi, k, transform = _nodes(terms, coefficients.shape[1], coefficients.device)
    # In float64: in float32 the angles k phi, and so the coefficients, would be too coarse.
    ratio = (1 + half_ellipticity.double()) / (1 - half_ellipticity.double())
    phi = 2 * torch.atan(ratio[:, None] * chi)
    sums = (torch.cos(phi[:, :, None] * k) @ coefficients.double()[:, :, None]).squeeze(2)
    return (sums @ transform).to(coefficients.dtype)


@cache
def _nodes(terms: int, given: int, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Return tan(chi / 2), the orders of the terms, and the transform of `_halfway`."""
    chi = (torch.arange(terms, dtype=torch.float64) + 0.5) * (math.pi / terms)
    transform = torch.cos(chi[:, None] * torch.arange(terms)) * (2 / terms)
    transform[:, 0] /= 2
    return torch.tan(chi / 2).to(device), torch.arange(given, dtype=torch.float64, device=device), transform.to(device)


def _fourier(coefficients: Tensor, cos: Tensor, sin: Tensor) -> tuple[Tensor, Tensor]:
    """Return sum_k a_k cos(k phi) and sum_k a_k sin(k phi) by Clenshaw's recurrence.

    b_k = a_k + 2 cos(phi) b_k+1 - b_k+2.
    """
    backward = torch.is_grad_enabled() and (coefficients.requires_grad or cos.requires_grad)
    forward = any(unpack_dual(each).tangent is not None for each in (coefficients, cos))
    in_place = not (backward or forward)
    twice = 2 * cos
    first, *rest = coefficients[:, :, None, None].unbind(1)
    b1, b2 = torch.zeros_like(cos), torch.zeros_like(cos)
    for a in reversed(rest):
        fresh = torch.sub(a, b2, out=b2) if in_place else a - b2
        b1, b2 = fresh.addcmul_(twice, b1), b1
    return (first - b2).addcmul_(cos, b1), sin * b1
