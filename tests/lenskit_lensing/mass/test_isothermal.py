"""Isothermal lenses against lenstronomy.

lenstronomy's SIE is softened by 1e-10 arcsec and never round. Its EPL is not softened and may be round.
"""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lenskit_lensing.mass import epl, epl_terms, sie, sis

torch.set_num_threads(1)

DTYPES = pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
einstein_radii = st.floats(0.1, 3)
places = st.floats(-1, 1)


@DTYPES
def test_sie_equals_lenstronomy_over_its_domain(errors, dtype: torch.dtype) -> None:
    @settings(max_examples=60, deadline=None)
    @given(theta_E=einstein_radii, q=st.floats(0.15, 1), phi=st.floats(-math.pi, math.pi), x=places, y=places)
    def check(theta_E: float, q: float, phi: float, x: float, y: float) -> None:
        e = (1 - q) / (1 + q)
        shape = {"e1": e * math.cos(2 * phi), "e2": e * math.sin(2 * phi), "center_x": x, "center_y": y}
        assert errors("SIE", dtype, like="EPL", theta_E=theta_E, **shape).max() <= 1

    check()


def test_sie_is_lenstronomys_but_for_its_softening(errors) -> None:
    lens = {"theta_E": 1.3, "e1": 0.3, "e2": -0.2, "center_x": 0.1, "center_y": 0.02}
    assert errors("SIE", torch.float64, **lens).max() <= 10


@DTYPES
def test_sis_equals_lenstronomy_over_its_domain(errors, dtype: torch.dtype) -> None:
    @settings(max_examples=40, deadline=None)
    @given(theta_E=einstein_radii, center_x=places, center_y=places)
    def check(**lens: float) -> None:
        assert errors("SIS", dtype, **lens).max() <= 1

    check()


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(log_e=st.floats(-12, -0.2), angle=st.floats(-math.pi, math.pi))
def test_sie_is_the_power_law_of_slope_two_at_any_ellipticity(log_e: float, angle: float) -> None:
    """Ellipticities include those where a series replaces the closed form."""
    e1, e2 = (torch.tensor([10**log_e * part(angle)], dtype=torch.float64) for part in (math.cos, math.sin))
    one, zero = torch.ones_like(e1), torch.zeros_like(e1)
    axis = torch.linspace(-2, 2, 9, dtype=torch.float64)
    lens = {"theta_E": one, "e1": e1, "e2": e2, "center_x": zero, "center_y": zero}
    power_law = epl(axis[None], axis[:, None], **lens, gamma=2 * one, terms=epl_terms(10**-0.2, 1e-13))
    for found, expected in zip(sie(axis[None], axis[:, None], **lens), power_law, strict=True):
        assert (found - expected).abs().max() < 1e-11


@DTYPES
@pytest.mark.parametrize("e1", [0.0, 0.4])
def test_centre_is_finite_and_deflects_nothing(dtype: torch.dtype, e1: float) -> None:
    lens = {"theta_E": 1.2, "center_x": 0.1, "center_y": -0.3}
    lens = {name: torch.tensor([value], dtype=dtype, requires_grad=True) for name, value in lens.items()}
    x, y = (lens[name].detach()[:, None, None] for name in ("center_x", "center_y"))
    shape = {"e1": torch.tensor([e1], dtype=dtype, requires_grad=True), "e2": torch.zeros(1, dtype=dtype)}
    for alpha in (sis(x, y, **lens), sie(x, y, **lens, **shape)):
        assert all((part == 0).all() for part in alpha)
        (alpha[0] + alpha[1]).sum().backward()
    assert all(value.grad.isfinite().all() for value in (*lens.values(), shape["e1"]))
