"""Shear, mass sheets and point masses against lenstronomy."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lenskit_lensing.mass import mass_sheet, point_mass, shear

torch.set_num_threads(1)

DTYPES = pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
places = st.floats(-3, 3)


@DTYPES
def test_shear_equals_lenstronomy(errors, dtype: torch.dtype) -> None:
    @settings(max_examples=30, deadline=None)
    @given(gamma1=st.floats(-0.5, 0.5), gamma2=st.floats(-0.5, 0.5), ra_0=places, dec_0=places)
    def check(**lens: float) -> None:
        assert errors("SHEAR", dtype, **lens).max() <= 1

    check()


def test_shear_is_about_the_origin_if_nothing_else_is_said(reference) -> None:
    lens = {"gamma1": torch.tensor([0.12, -0.05]), "gamma2": torch.tensor([-0.03, 0.1])}
    axis = torch.linspace(-2, 2, 11, dtype=torch.float64)
    exact = reference("SHEAR", lens, axis[None, :], axis[:, None])
    for found, expected in zip(shear(axis[None, :], axis[:, None], **lens), exact.unbind(1), strict=True):
        assert torch.allclose(found, expected, rtol=1e-6)


@DTYPES
def test_mass_sheet_equals_lenstronomy(errors, dtype: torch.dtype) -> None:
    @settings(max_examples=30, deadline=None)
    @given(kappa=st.floats(-1, 1), ra_0=places, dec_0=places)
    def check(**lens: float) -> None:
        assert errors("CONVERGENCE", dtype, **lens).max() <= 1

    check()


@DTYPES
def test_point_mass_equals_lenstronomy(errors, dtype: torch.dtype) -> None:
    @settings(max_examples=40, deadline=None)
    @given(theta_E=st.floats(1e-3, 2), center_x=places, center_y=places)
    def check(**lens: float) -> None:
        assert errors("POINT_MASS", dtype, **lens).max() <= 1

    check()


@DTYPES
def test_point_mass_is_finite_where_it_is(dtype: torch.dtype) -> None:
    lens = {"theta_E": 0.2, "center_x": 0.1, "center_y": -0.3}
    lens = {name: torch.tensor([value], dtype=dtype, requires_grad=True) for name, value in lens.items()}
    alpha = point_mass(*(lens[name].detach()[:, None, None] for name in ("center_x", "center_y")), **lens)
    assert all((part == 0).all() for part in alpha)
    (alpha[0] + alpha[1]).sum().backward()
    assert all(value.grad.isfinite().all() for value in lens.values())


def test_mass_sheet_of_one_focuses_everything() -> None:
    zero, one = torch.zeros(1), torch.ones(1)
    axis = torch.linspace(-2, 2, 5)
    alpha_x, alpha_y = mass_sheet(axis[None, :], axis[:, None], kappa=one, ra_0=zero, dec_0=zero)
    assert (alpha_x == axis[None, :]).all()
    assert (alpha_y == axis[:, None]).all()
