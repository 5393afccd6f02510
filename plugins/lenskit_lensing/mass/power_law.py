"""Deflection of elliptical power laws."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from lenskit_lensing.mass.coordinates import columns, elliptical

TOLERANCE = {torch.float32: 3e-6, torch.float64: 1e-10}
"""At which to cut the power law's series, by type: deflections are then within 1e-5 and 1e-9 arcsec."""

_TINY = 1e-30
"""Added to |e|^2, so that its root has a derivative at e = 0."""


def epl_terms(ellipticity: float, tolerance: float) -> int:
    """Number of terms of the power law's series, whose error falls as |e| to the number of terms.

    It has to come from the prior's bound: taken from a batch it would make an image depend on its neighbours.

    Args:
        ellipticity: Upper bound of |e|, below 1.
        tolerance: Relative size of what is left out, for instance one of `TOLERANCE`.
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
    """Deflection of the elliptical power law kappa = (3 - gamma) / 2 (theta_E / R)^(gamma - 1).

    Tessore & Metcalf (2015, https://arxiv.org/abs/1507.01819) give it as a hypergeometric series. In the elliptical
    coordinates zeta it reads, with t = gamma - 1 and the elliptical radius R = |zeta| / sqrt(1 - |e|^2),

        alpha = (theta_E / R)^t zeta sum_k c_k w^k,  w = -conj(e) zeta / conj(zeta),
        c_k = prod_{j=1..k} (2j - (2 - t)) / (2j + (2 - t)).

    Since |w| = |e| is one number a lens, the sum is a Fourier series of the angle, taken by Clenshaw's recurrence: two
    passes over the pixels a term.

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
        The deflection's components in arcsec, (n, height, width) each; zero at the very centre.
    """
    t = gamma - 1
    ellipticity = (e1 * e1 + e2 * e2 + _TINY).sqrt()
    cos, sin, exponent = columns(e1 / ellipticity, e2 / ellipticity, -t / 2)

    zeta_x, zeta_y = elliptical(x, y, e1, e2, center_x, center_y)
    xx, yy = zeta_x * zeta_x, zeta_y * zeta_y
    r2 = (xx + yy).clamp_(min=1e-18)
    re, half_im = (xx - yy).div_(r2), (zeta_x * zeta_y).div_(r2)
    u, v = (cos * re).addcmul_(2 * sin, half_im), (2 * cos * half_im).addcmul_(sin, re, value=-1)

    sum_re, sum_im = _fourier(_coefficients(t, ellipticity, terms), u, v)
    strength = t * (theta_E.log() + torch.log1p(-ellipticity * ellipticity) / 2)
    scale = (exponent * r2.log()).add_(strength[:, None, None]).exp_()
    alpha_x = (zeta_x * sum_re).addcmul_(zeta_y, sum_im, value=-1).mul_(scale)
    alpha_y = (zeta_x * sum_im).addcmul_(zeta_y, sum_re).mul_(scale)
    return alpha_x, alpha_y


def _coefficients(t: Tensor, ellipticity: Tensor, terms: int) -> Tensor:
    """c_k (-|e|)^k for k = 0 .. terms - 1: (n, terms)."""
    k = torch.arange(1, terms, dtype=t.dtype, device=t.device)
    t, ellipticity = t[:, None], ellipticity[:, None]
    ratios = -ellipticity * (2 * k - (2 - t)) / (2 * k + (2 - t))
    return torch.cat([torch.ones_like(t), ratios.cumprod(1)], dim=1)


def _fourier(coefficients: Tensor, cos: Tensor, sin: Tensor) -> tuple[Tensor, Tensor]:
    """sum_k a_k cos(k phi) and sum_k a_k sin(k phi) by Clenshaw's recurrence b_k = a_k + 2 cos(phi) b_k+1 - b_k+2."""
    in_place = not (torch.is_grad_enabled() and (coefficients.requires_grad or cos.requires_grad))
    twice = 2 * cos
    first, *rest = coefficients[:, :, None, None].unbind(1)
    b1, b2 = torch.zeros_like(cos), torch.zeros_like(cos)
    for a in reversed(rest):
        fresh = torch.sub(a, b2, out=b2) if in_place else a - b2
        b1, b2 = fresh.addcmul_(twice, b1), b1
    return (first - b2).addcmul_(cos, b1), sin * b1
