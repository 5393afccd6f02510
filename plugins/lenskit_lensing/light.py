"""Surface brightness of Sersic, core-Sersic and pixelated galaxies, batched.

Shapes and conventions are those of `lenskit_lensing.mass`; radii are on the product-averaged axis,
R = sqrt(q x'^2 + y'^2 / q), as in lenstronomy. `surface_brightness` adds up profiles by lenstronomy's names, the keys
of `PROFILES`.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import grid_sample

from lenskit_lensing.mass.coordinates import columns, elliptical, offsets
from lenskit_lensing.profiles import Components, resolve

RADIUS_FLOOR = 1e-4
"""Radius in arcsec inside which profiles are flat, as in lenstronomy."""


def sersic_b(n_sersic: Tensor) -> Tensor:
    """Return b_n, for which R_sersic is the half-light radius.

    It is lenstronomy's linear approximation.
    """
    return (1.9992 * n_sersic - 0.3271).clamp(min=1e-5)


def sersic(
    x: Tensor,
    y: Tensor,
    *,
    R_sersic: Tensor,
    n_sersic: Tensor,
    e1: Tensor,
    e2: Tensor,
    center_x: Tensor,
    center_y: Tensor,
) -> Tensor:
    """Elliptical Sersic profile exp(-b_n ((R / R_sersic)^(1/n) - 1)): one at R_sersic.

    It equals lenstronomy's SERSIC_ELLIPSE without the cut at 1000 R_sersic.

    Args:
        x: Positions in arcsec.
        y: Positions in arcsec.
        R_sersic: Half-light radius in arcsec, above 0.
        n_sersic: Index, above 0.17.
        e1: Ellipticity, |e| < 1.
        e2: Ellipticity.
        center_x: Centre in arcsec.
        center_y: Centre in arcsec.

    Returns:
        (n, height, width).
    """
    log_r2 = _radius_squared(x, y, e1, e2, center_x, center_y).log()
    return sersic_of_log_r2(log_r2, R_sersic, n_sersic)


def sersic_of_log_r2(log_r2: Tensor, R_sersic: Tensor, n_sersic: Tensor) -> Tensor:
    """Sersic profile (n, height, width) from the logarithm of the squared radius."""
    b = sersic_b(n_sersic)
    power, offset, b_ = columns(0.5 / n_sersic, b.log() - R_sersic.log() / n_sersic, b)
    return (b_ - (power * log_r2).add_(offset).exp_()).exp_()


def core_sersic(
    x: Tensor,
    y: Tensor,
    *,
    R_sersic: Tensor,
    Rb: Tensor,
    n_sersic: Tensor,
    gamma: Tensor,
    e1: Tensor,
    e2: Tensor,
    center_x: Tensor,
    center_y: Tensor,
) -> Tensor:
    """Elliptical core-Sersic profile, a power law inside the break radius Rb.

    It is a Sersic profile outside Rb, and has the slope gamma inside.

    (1 + (Rb/R)^a)^(gamma/a) exp(-b_n (((R^a + Rb^a) / R_sersic^a)^(1 / (a n)) - 1)) with a = 3: lenstronomy's
    CORE_SERSIC, after Trujillo et al. (2004, https://arxiv.org/abs/astro-ph/0403659).

    Args:
        x: Positions in arcsec.
        y: Positions in arcsec.
        R_sersic: Half-light radius in arcsec that the profile would have without its core, above 0.
        Rb: Break radius in arcsec, at least 0.
        n_sersic: Index, above 0.17.
        gamma: Slope inside the break radius, 0 is flat.
        e1: Ellipticity, |e| < 1.
        e2: Ellipticity.
        center_x: Centre in arcsec.
        center_y: Centre in arcsec.

    Returns:
        (n, height, width).
    """
    r2 = _radius_squared(x, y, e1, e2, center_x, center_y)
    return _core_sersic(r2 * r2.sqrt(), *columns(R_sersic, Rb, n_sersic, gamma))


def core_sersic_light(Rb: Tensor, n_sersic: Tensor, gamma: Tensor) -> tuple[Tensor, Tensor]:
    """Flux and half-light radius of core-Sersic profiles with R_sersic = 1.

    They do not depend on the ellipticity.

    They are computed by the trapezoidal rule in log R from 1e-3 to 1e3. The error is at most 5e-3 for indices up to 8
    and slopes below 1.

    Args:
        Rb: (n,) break radius in units of R_sersic.
        n_sersic: (n,) index.
        gamma: (n,) slope inside the break radius; above 1, light within 1e-3 R_sersic is missed.

    Returns:
        Flux in units of R_sersic^2, half-light radius in units of R_sersic; (n,) each.
    """
    log_r = torch.linspace(math.log(1e-3), math.log(1e3), 200, dtype=Rb.dtype, device=Rb.device)
    r = log_r.exp()
    one = torch.ones_like(Rb)[:, None]
    rings = 2 * math.pi * r * r * _core_sersic(r**3, one, Rb[:, None], n_sersic[:, None], gamma[:, None])
    light = torch.cumulative_trapezoid(rings, log_r, dim=1)
    half = light[:, -1:] / 2
    above = (light < half).sum(1, keepdim=True)
    outer, inner = light.gather(1, above), light.gather(1, above - 1)
    log_half = log_r[above + 1] - (outer - half) / (outer - inner) * (log_r[1] - log_r[0])
    return light[:, -1], log_half.squeeze(1).exp()


def pixelated(
    x: Tensor,
    y: Tensor,
    *,
    images: Tensor,
    scale: Tensor,
    angle: Tensor,
    mirror: Tensor,
    center_x: Tensor,
    center_y: Tensor,
) -> Tensor:
    """Surface brightness of an image, interpolated bilinearly and zero outside.

    It equals lenstronomy's INTERPOL of the image, mirrored left to right where `mirror` is -1.

    Args:
        x: Positions in arcsec, (n, height, width).
        y: Positions in arcsec, (n, height, width).
        images: Surface brightness (n, rows, columns), with the centre in the middle.
        scale: Pixel size of the image in arcsec, above 0.
        angle: Rotation of the image from +x towards +y, in radians.
        mirror: 1 or -1.
        center_x: Centre in arcsec.
        center_y: Centre in arcsec.

    Returns:
        (n, height, width).
    """
    rows, across = images.shape[-2:]
    unit_x, unit_y = 2 * mirror / ((across - 1) * scale), 2 / ((rows - 1) * scale)
    cos_x, sin_x = columns(unit_x * angle.cos(), unit_x * angle.sin())
    cos_y, sin_y = columns(unit_y * angle.cos(), unit_y * angle.sin())
    dx, dy = offsets(x, y, center_x, center_y)
    u, v = torch.addcmul(cos_x * dx, sin_x, dy), torch.addcmul(cos_y * dy, sin_y, dx, value=-1)
    grid = torch.stack([u, v], dim=-1)
    return grid_sample(images[:, None], grid, mode="bilinear", padding_mode="zeros", align_corners=True)[:, 0]


def surface_brightness(x: Tensor, y: Tensor, components: Components) -> Tensor:
    """Surface brightness of a sum of profiles.

    An example is `[("SERSIC_ELLIPSE", {...}), ("INTERPOL", {...})]`.

    Args:
        x: Positions in arcsec that broadcast to (n, height, width), or the row (1, width) of a grid.
        y: Positions in arcsec, or the column (height, 1) of a grid.
        components: Names of `PROFILES` and their parameters: numbers, (n,), or (n, k) for k profiles of one kind in
            each scene. `amp` multiplies a profile (default 1). The default centre is the origin. `INTERPOL` takes an
            `image` (n, rows, columns) or one image for all scenes, `scale`, `phi_G`, and `mirror`, which lenstronomy
            does not have.

    Returns:
        (n, height, width), of the dtype of `x`.

    Raises:
        UsageError: A profile or parameter is unknown.
    """
    calls, n = resolve(PROFILES, components, x, amp=1.0)
    total = x.new_zeros((n, *torch.broadcast_shapes(x.shape, y.shape)[-2:]))
    for function, parameters in calls:
        (amp,) = columns(parameters.pop("amp"))
        total = total + amp * function(x, y, **parameters)
    return total


def _round_sersic(
    x: Tensor, y: Tensor, *, R_sersic: Tensor, n_sersic: Tensor, center_x: Tensor, center_y: Tensor
) -> Tensor:
    zero = torch.zeros_like(R_sersic)
    return sersic(
        x, y, R_sersic=R_sersic, n_sersic=n_sersic, e1=zero, e2=zero, center_x=center_x, center_y=center_y
    )  # fmt: skip


def _interpol(
    x: Tensor,
    y: Tensor,
    *,
    image: Tensor,
    scale: Tensor,
    phi_G: Tensor,
    mirror: Tensor,
    center_x: Tensor,
    center_y: Tensor,
) -> Tensor:
    n = len(scale)
    x, y = (part.expand(n, *part.shape[-2:]) for part in torch.broadcast_tensors(x, y))
    images = torch.as_tensor(image, dtype=x.dtype, device=x.device)
    return pixelated(
        x,
        y,
        images=images.expand(n, *images.shape[-2:]),
        scale=scale,
        angle=phi_G,
        mirror=mirror,
        center_x=center_x,
        center_y=center_y,
    )


PROFILES: dict[str, Callable[..., Tensor]] = {
    "SERSIC": _round_sersic,
    "SERSIC_ELLIPSE": sersic,
    "CORE_SERSIC": core_sersic,
    "INTERPOL": _interpol,
}
"""Surface brightnesses by lenstronomy's names of the profiles; images are interpolated bilinearly."""


def _radius_squared(x: Tensor, y: Tensor, e1: Tensor, e2: Tensor, center_x: Tensor, center_y: Tensor) -> Tensor:
    zeta_x, zeta_y = elliptical(x, y, e1, e2, center_x, center_y)
    r2 = (zeta_x * zeta_x).addcmul_(zeta_y, zeta_y)
    return r2.div_(columns(1 - e1 * e1 - e2 * e2)[0]).clamp_(min=RADIUS_FLOOR**2)


def _core_sersic(r3: Tensor, R_sersic: Tensor, Rb: Tensor, n_sersic: Tensor, gamma: Tensor) -> Tensor:
    """Core-Sersic profile as a function of the radius cubed."""
    b = sersic_b(n_sersic)
    log_sum = (r3 + Rb**3).log_()
    outer = (log_sum / (3 * n_sersic)).add_(b.log() - R_sersic.log() / n_sersic).exp_()
    inner = (log_sum - r3.log()).mul_(gamma / 3)
    return (inner.add_(b) - outer).exp_()
