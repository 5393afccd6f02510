"""Fixtures for deflections: comparison with lenstronomy, and radial deflections.

Tests compare radial deflections with closed forms in many digits.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pytest
import torch
from lenstronomy.LensModel.lens_model import LensModel
from torch import Tensor

from lenskit_lensing.mass import deflection

Errors = Callable[..., Tensor]


def lenstronomy_deflection(profile: str, parameters: Mapping[str, Tensor | int], x: Tensor, y: Tensor) -> Tensor:
    """Return lenstronomy's deflection, (n, 2, height, width)."""
    model = LensModel([profile])
    x, y = torch.broadcast_tensors(x, y)
    n = max(len(value) for value in parameters.values() if isinstance(value, Tensor))
    values = [value.tolist() if isinstance(value, Tensor) else [value] * n for value in parameters.values()]
    rows = [dict(zip(parameters, row, strict=True)) for row in zip(*values, strict=True)]
    found = [model.alpha(x.numpy().ravel(), y.numpy().ravel(), [row]) for row in rows]
    return torch.from_numpy(np.reshape(found, (len(rows), 2, *x.shape)))


@pytest.fixture(scope="session")
def reference() -> Callable[..., Tensor]:
    return lenstronomy_deflection


@pytest.fixture(scope="session")
def errors() -> Errors:
    """Errors of deflections against lenstronomy, in units of the tolerance.

    Errors must be at most one. The tolerance is 1e-5 arcsec in float32 and 1e-9 arcsec in float64; for deflections
    over 5 arcsec it is the fraction 2e-6 or 2e-10. Parameters and positions are rounded to the type beforehand, for
    lenstronomy too.
    """

    def found(profile: str, dtype: torch.dtype, like: str | None = None, **parameters: float) -> Tensor:
        arcsec, relative = (1e-5, 2e-6) if dtype == torch.float32 else (1e-9, 2e-10)
        axis = ((torch.arange(12) - 5.5) * 0.44).to(dtype)
        x, y = axis[None, :], axis[:, None]
        rounded = {
            name: value if isinstance(value, int) else torch.tensor([value], dtype=dtype)
            for name, value in parameters.items()
        }
        ours = torch.stack(deflection(x, y, [(profile, rounded)]), dim=1).double()
        exact = {name: value.double() if isinstance(value, Tensor) else value for name, value in rounded.items()}
        if like is not None:
            exact["gamma"] = torch.tensor([2.0], dtype=torch.float64)
        theirs = lenstronomy_deflection(like or profile, exact, x.double(), y.double())
        return (ours - theirs).abs() / (relative * theirs.abs()).clamp(min=arcsec)

    return found


@pytest.fixture(scope="session")
def radial() -> Callable[..., Tensor]:
    """Deflection of a spherical profile along +x over the radius, (k,).

    Radii are (k,).
    """

    def found(profile: str, radii: Tensor, **parameters: float) -> Tensor:
        along, across = deflection(radii[None, :], radii.new_zeros(1, 1), [(profile, parameters)])
        assert (across == 0).all()
        return along[0, 0] / radii

    return found
