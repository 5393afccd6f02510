"""Sersic profiles with twisted, lopsided, boxy or discy isophotes."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from lenskit_lensing.light import RADIUS_FLOOR, sersic_of_log_r2
from lenskit_lensing.mass.coordinates import R2_FLOOR, columns, offsets


def isophotal_sersic(
    x: Tensor,
    y: Tensor,
    *,
    R_sersic: Tensor,
    n_sersic: Tensor,
    e1: Tensor,
    e2: Tensor,
    center_x: Tensor,
    center_y: Tensor,
    twist: Tensor,
    m3: Tensor,
    m3_angle: Tensor,
    m4: Tensor,
) -> Tensor:
    """Sersic profile with twisted isophotes and multipoles of order 3 and 4.

    An isophote that would be the ellipse of radius R has the radius R (1 + m3 cos 3(psi - m3_angle) + m4 cos 4 psi),
    where psi is the ellipse's eccentric anomaly, measured from the major axis (Ciambur 2015,
    https://arxiv.org/abs/1507.02691). The image is then rotated about the centre by an angle that increases
    with the distance r from it, twist log10(r / R_sersic), at most one decade in either direction.

    The twist preserves the flux. Multipoles increase it by the factor 1 + (m3^2 + m4^2) / 2.

    Args:
        x: Positions in arcsec.
        y: Positions in arcsec.
        R_sersic: Half-light radius in arcsec, above 0.
        n_sersic: Index, above 0.17.
        e1: Ellipticity at R_sersic, |e| < 1.
        e2: Ellipticity at R_sersic.
        center_x: Centre in arcsec.
        center_y: Centre in arcsec.
        twist: Rotation from +x towards +y in degrees per decade in radius.
        m3: Amplitude of the multipole of order 3, relative to the radius.
        m3_angle: Direction of one of its three maxima, from the major axis, in degrees.
        m4: Amplitude of the multipole of order 4: above 0 discy, below 0 boxy. |m3| + |m4| < 1.

    Returns:
        (n, height, width), one at R_sersic where twist and multipoles are zero.
    """
    dx, dy = offsets(x, y, center_x, center_y)
    r2 = dx * dx + dy * dy
    e, axis = torch.hypot(e1, e2), torch.atan2(e2, e1) / 2
    # The major axis at each point; log10(r / R) is log(r^2 / R^2) / (2 log 10).
    decades = (r2.clamp(min=RADIUS_FLOOR**2).log_() - columns(2 * R_sersic.log())[0]).mul_(0.5 / math.log(10))
    turn, axis, e = columns(twist * (math.pi / 180), axis, e)
    angle = decades.clamp_(-1, 1).mul_(turn).add_(axis)
    cos, sin = angle.cos(), angle.sin_()
    # Elliptical coordinates along the axes: (1 - e) x', (1 + e) y'.
    major, minor = (cos * dx).addcmul_(sin, dy).mul_(1 - e), (cos * dy).addcmul_(sin, dx, value=-1).mul_(1 + e)
    r2 = (major * major).addcmul_(minor, minor)
    scale = r2.clamp(min=R2_FLOOR).rsqrt_()
    c, s = major.mul_(scale), minor.mul_(scale)
    c2 = c * c
    along, across, fourth = columns(m3 * (3 * _radians(m3_angle)).cos(), m3 * (3 * _radians(m3_angle)).sin(), m4)
    departure = along * c * (4 * c2 - 3) + across * s * (4 * c2 - 1) + fourth * (8 * c2 * (c2 - 1) + 1)
    log_r2 = r2.div_(1 - e * e).clamp_(min=RADIUS_FLOOR**2).log_().sub_(departure.log1p_(), alpha=2)
    return sersic_of_log_r2(log_r2, R_sersic, n_sersic)


def _radians(degrees: Tensor) -> Tensor:
    return degrees * (math.pi / 180)
