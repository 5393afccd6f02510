"""Light of rings, tidal arcs and spiral arms, in batches.

Shapes and conventions are those of `lenskit_lensing.light`: radii are on the product-averaged axis. All profiles have a
flux of one for any ellipticity. The azimuth is measured in the plane of an inclined disc that is seen as the
ellipse.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from lenskit_lensing.light import RADIUS_FLOOR
from lenskit_lensing.mass.coordinates import columns, elliptical


def ring(
    x: Tensor,
    y: Tensor,
    *,
    radius: Tensor,
    width: Tensor,
    e1: Tensor,
    e2: Tensor,
    center_x: Tensor,
    center_y: Tensor,
    angle: Tensor,
    concentration: Tensor,
) -> Tensor:
    """Ring or arc with a Gaussian radial profile.

    It is exp(-(R - radius)^2 / (2 width^2)) times exp(k cos(phi - angle)), divided by the flux. The second factor, a
    von Mises distribution with a mean of one, turns the ring into an arc.

    Args:
        x: Positions in arcsec.
        y: Positions in arcsec.
        radius: Radius of maximum brightness in arcsec, above 0.
        width: Standard deviation of the radial profile in arcsec, above 0.
        e1: Ellipticity, |e| < 1.
        e2: Ellipticity.
        center_x: Centre in arcsec.
        center_y: Centre in arcsec.
        angle: Azimuth of the arc's middle in radians.
        concentration: k of the arc, at least 0; 0 for a whole ring.

    Returns:
        Surface brightness per square arcsec, (n, height, width).
    """
    R, azimuth = _polar(x, y, e1, e2, center_x, center_y)
    # The integral over the plane, 2 pi int R exp(-(R - radius)^2 / (2 width^2)) dR.
    s = radius / (math.sqrt(2) * width)
    flux = 2 * math.pi * width * (width * (-s * s).exp() + math.sqrt(math.pi / 2) * radius * (1 + torch.erf(s)))
    radius, width, flux = columns(radius, width, flux)
    return (-0.5 * ((R - radius) / width) ** 2).exp() * _von_mises(azimuth - columns(angle)[0], concentration) / flux


def spiral(
    x: Tensor,
    y: Tensor,
    *,
    scale: Tensor,
    e1: Tensor,
    e2: Tensor,
    center_x: Tensor,
    center_y: Tensor,
    arms: Tensor,
    pitch: Tensor,
    angle: Tensor,
    concentration: Tensor,
) -> Tensor:
    """Exponential disc with logarithmic spiral arms.

    One arm lies at phi = angle + ln(R / scale) / tan(pitch), and the arms are evenly spaced in azimuth. Across the arms
    light follows a von Mises distribution, whose mean over the azimuth is one: the mean profile is exp(-R / scale).
    Real arms are nearly logarithmic (Kennicutt 1981, AJ 86, 1847).

    Args:
        x: Positions in arcsec.
        y: Positions in arcsec.
        scale: Scale length of the disc in arcsec, above 0.
        e1: Ellipticity, |e| < 1.
        e2: Ellipticity.
        center_x: Centre in arcsec.
        center_y: Centre in arcsec.
        arms: Number of arms, a whole number above 0.
        pitch: Angle between an arm and a circle in radians, not 0; negative for the opposite direction.
        angle: Azimuth in radians of an arm at R = scale.
        concentration: k of the von Mises distribution, at least 0; 0 for a disc without arms.

    Returns:
        Surface brightness per square arcsec, (n, height, width).
    """
    R, azimuth = _polar(x, y, e1, e2, center_x, center_y)
    scale, arms, tangent, angle = columns(scale, arms, pitch.tan(), angle)
    phase = arms * (azimuth - angle - (R / scale).log() / tangent)
    return (-R / scale).exp() * _von_mises(phase, concentration) / (2 * math.pi * scale**2)


def _polar(x: Tensor, y: Tensor, e1: Tensor, e2: Tensor, center_x: Tensor, center_y: Tensor) -> tuple[Tensor, Tensor]:
    """Return the product-averaged radius in arcsec, and the azimuth in the disc plane."""
    zeta_x, zeta_y = elliptical(x, y, e1, e2, center_x, center_y)
    stretch = (1 - e1 * e1 - e2 * e2).sqrt()
    return (torch.hypot(zeta_x, zeta_y) / columns(stretch)[0]).clamp(min=RADIUS_FLOOR), torch.atan2(zeta_y, zeta_x)


def _von_mises(phase: Tensor, concentration: Tensor) -> Tensor:
    """Return exp(k cos(phase)) divided by its mean."""
    k, mean = columns(concentration, torch.special.i0e(concentration))
    return (k * (phase.cos() - 1)).exp() / mean
