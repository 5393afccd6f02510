"""Multipoles against lenstronomy."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from lenskit.plugin import UsageError
from lenskit_lensing.mass import multipole

torch.set_num_threads(1)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("m", [2, 3, 4, 7])
def test_multipole_equals_lenstronomy_over_its_domain(errors, m: int, dtype: torch.dtype) -> None:
    @settings(max_examples=25, deadline=None)
    @given(
        a_m=st.floats(-0.5, 0.5),
        phi_m=st.floats(-math.pi, math.pi),
        center_x=st.floats(-1, 1),
        center_y=st.floats(-1, 1),
    )
    def check(**lens: float) -> None:
        # At the centre, which may be a point of the grid, rounding determines the direction.
        nearest = [min(abs(lens[name] - (k - 5.5) * 0.44) for k in range(12)) for name in ("center_x", "center_y")]
        assume(math.hypot(*nearest) > 1e-3)
        assert errors("MULTIPOLE", dtype, m=m, **lens).max() <= 1

    check()


@pytest.mark.parametrize("m", [3, 4])
def test_centre_is_finite_and_deflects_nothing(m: int) -> None:
    lens = {name: torch.tensor([value], requires_grad=True) for name, value in {"a_m": 0.1, "phi_m": 0.4}.items()}
    center = torch.tensor([0.3], requires_grad=True)
    at = torch.full((1, 1, 1), 0.3)
    alpha = multipole(at, at, m=m, **lens, center_x=center, center_y=center)
    assert all((part == 0).all() for part in alpha)
    (alpha[0] + alpha[1]).sum().backward()
    assert all(value.grad.isfinite().all() for value in (*lens.values(), center))


@pytest.mark.parametrize("m", [0, 1, 2.5])
def test_other_orders_are_refused(m: float) -> None:
    zero = torch.zeros(1)
    with pytest.raises(UsageError, match="at least 2"):
        multipole(torch.ones(1, 1, 1), torch.ones(1, 1, 1), m=m, a_m=zero, phi_m=zero, center_x=zero, center_y=zero)
