"""Sum of mass profiles, named as in lenstronomy: deflections and derivatives."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from lenskit_lensing.mass.external import mass_sheet, point_mass, shear
from lenskit_lensing.mass.halos import nfw, pjaffe, tnfw
from lenskit_lensing.mass.isothermal import sie, sis
from lenskit_lensing.mass.multipole import multipole
from lenskit_lensing.mass.power_law import TOLERANCE, epl, epl_terms
from lenskit_lensing.profiles import Call, Components, resolve

PROFILES: dict[str, Callable[..., tuple[Tensor, Tensor]]] = {
    "EPL": epl,
    "SIE": sie,
    "SIS": sis,
    "NFW": nfw,
    "TNFW": tnfw,
    "PJAFFE": pjaffe,
    "POINT_MASS": point_mass,
    "SHEAR": shear,
    "CONVERGENCE": mass_sheet,
    "MULTIPOLE": multipole,
}
"""Deflections by lenstronomy's names of the profiles."""

MAX_ELLIPTICITY = 0.75
"""Default upper limit of |e|: axis ratios down to 1/7."""


def deflection(
    x: Tensor, y: Tensor, components: Components, *, max_ellipticity: float = MAX_ELLIPTICITY
) -> tuple[Tensor, Tensor]:
    """Deflection of a sum of profiles: `[("EPL", {...}), ("SHEAR", {...})]`.

    Profiles are evaluated one after the other: k subhaloes take k times as long as one. They need more memory only if
    gradients are computed.

    Args:
        x: Positions in arcsec that broadcast to (n, height, width), or the row (1, width) of a grid.
        y: Positions in arcsec, or the column (height, 1) of a grid.
        components: Names of `PROFILES` and their parameters: numbers, (n,), or (n, k) for k profiles of one kind in
            each lens. The default centre is the origin.
        max_ellipticity: Upper limit of |e| of power laws, from the prior. It defines the length of their series, which
            are less accurate for larger |e|.

    Returns:
        The deflection's components in arcsec, (n, height, width) each, of the dtype of `x`.

    Raises:
        UsageError: A profile or parameter is unknown.
    """
    calls, n = resolve(PROFILES, components, x)
    return _sum(x, y, calls, n, max_ellipticity)


def hessian(
    x: Tensor,
    y: Tensor,
    components: Components,
    *,
    max_ellipticity: float = MAX_ELLIPTICITY,
    create_graph: bool = False,
) -> tuple[Tensor, Tensor, Tensor]:
    """Derivatives of the deflection: alpha_x by x, alpha_x by y, alpha_y by y.

    They are computed by automatic differentiation. The convergence is half the sum of the first and the last.

    Args:
        x: As in `deflection`.
        y: As in `deflection`.
        components: As in `deflection`.
        max_ellipticity: As in `deflection`.
        create_graph: Whether the results are differentiable.

    Returns:
        (n, height, width) each.
    """
    calls, n = resolve(PROFILES, components, x)
    x, y = (part.expand(n, *part.shape[-2:]) for part in torch.broadcast_tensors(x, y))
    with torch.enable_grad():
        if not create_graph:
            x, y = x.detach(), y.detach()
        # Copies, because each position must be a separate variable.
        x, y = (part.clone() if part.requires_grad else part.clone().requires_grad_() for part in (x, y))
        along_x, along_y = _sum(x, y, calls, n, max_ellipticity)
        derivative = partial(torch.autograd.grad, create_graph=create_graph, materialize_grads=True)
        xx, xy = derivative(along_x.sum(), (x, y), retain_graph=True)
        (yy,) = derivative(along_y.sum(), (y,))
    return (xx, xy, yy) if create_graph else (xx.detach(), xy.detach(), yy.detach())


def magnification(
    x: Tensor,
    y: Tensor,
    components: Components,
    *,
    max_ellipticity: float = MAX_ELLIPTICITY,
    create_graph: bool = False,
) -> Tensor:
    """Magnification (n, height, width) at (x, y), negative for mirrored images.

    Args:
        x: As in `deflection`.
        y: As in `deflection`.
        components: As in `deflection`.
        max_ellipticity: As in `deflection`.
        create_graph: Whether the result is differentiable.
    """
    xx, xy, yy = hessian(x, y, components, max_ellipticity=max_ellipticity, create_graph=create_graph)
    return 1 / ((1 - xx) * (1 - yy) - xy * xy)


def _sum(x: Tensor, y: Tensor, calls: list[Call], n: int, max_ellipticity: float) -> tuple[Tensor, Tensor]:
    shape = (n, *torch.broadcast_shapes(x.shape, y.shape)[-2:])
    total_x, total_y = x.new_zeros(shape), x.new_zeros(shape)
    for function, parameters in calls:
        more = {"terms": epl_terms(max_ellipticity, TOLERANCE[x.dtype])} if function is epl else {}
        along_x, along_y = function(x, y, **parameters, **more)
        total_x, total_y = total_x + along_x, total_y + along_y
    return total_x, total_y
