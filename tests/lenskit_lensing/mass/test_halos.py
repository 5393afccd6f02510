"""Haloes against lenstronomy, and against textbook formulas in many digits.

lenstronomy is inaccurate near centres.
"""

from __future__ import annotations

import math

import mpmath
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lenskit_lensing.mass import deflection

torch.set_num_threads(1)
mpmath.mp.dps = 50

DTYPES = pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
scale_radii = st.floats(0.05, 20)
strengths = st.floats(1e-3, 2)
truncations = st.floats(0.05, 50)
"""Truncation radii in units of the scale radius."""
# lenstronomy's haloes are wrong within 1e-3 scale radii: the grid's nearest ray is .03 arcsec away from these centres.
places = st.sampled_from([0.0, -0.44, 0.88, 0.22 - 0.03])

RADII = 10 ** torch.linspace(-7, 3, 41, dtype=torch.float64)
"""In units of the scale radius."""

AROUND_ONE = 1 + torch.tensor(
    [0, 1e-15, -1e-9, 1e-5, -0.00101, -0.00099, 0.00099, 0.00101, -0.01, 0.01, -0.1, 0.1], dtype=torch.float64
)


def nfw_exact(x: float, Rs: float, alpha_Rs: float) -> mpmath.mpf:
    """Exact deflection over radius at x scale radii."""
    x = mpmath.mpf(x)
    if x == 1:
        g = 1 - mpmath.log(2)
    elif x < 1:
        g = mpmath.log(x / 2) + mpmath.acosh(1 / x) / mpmath.sqrt(1 - x * x)
    else:
        g = mpmath.log(x / 2) + mpmath.acos(1 / x) / mpmath.sqrt(x * x - 1)
    return alpha_Rs / (1 - mpmath.log(2)) / Rs * g / x**2


def tnfw_exact(x: float, Rs: float, alpha_Rs: float, r_trunc: float) -> mpmath.mpf:
    x, tau = mpmath.mpf(x), mpmath.mpf(r_trunc) / mpmath.mpf(Rs)
    F = 1 if x == 1 else mpmath.re(mpmath.acosh(1 / x) / mpmath.sqrt(mpmath.mpc(1 - x * x)))
    L = mpmath.log(x / (tau + mpmath.sqrt(tau**2 + x**2)))
    mass = (tau**2 + 1 + 2 * (x**2 - 1)) * F + tau * mpmath.pi + (tau**2 - 1) * mpmath.log(tau)
    mass += mpmath.sqrt(tau**2 + x**2) * (-mpmath.pi + L * (tau**2 - 1) / tau)
    return alpha_Rs / (1 - mpmath.log(2)) / Rs * tau**2 / (tau**2 + 1) ** 2 * mass / x**2


def pjaffe_exact(x: float, Rs: float, sigma0: float, Ra: float) -> mpmath.mpf:
    Ra, Rs, r = mpmath.mpf(Ra), mpmath.mpf(Rs), mpmath.mpf(x) * Rs
    u, v = r / Ra, r / Rs
    f = u / (1 + mpmath.sqrt(1 + u * u)) - v / (1 + mpmath.sqrt(1 + v * v))
    return 2 * sigma0 * Ra * Rs / (Rs - Ra) * f / r


@DTYPES
def test_nfw_equals_lenstronomy_over_its_domain(errors, dtype: torch.dtype) -> None:
    @settings(max_examples=50, deadline=None)
    @given(Rs=scale_radii, alpha_Rs=strengths, center_x=places, center_y=places)
    def check(**halo: float) -> None:
        assert errors("NFW", dtype, **halo).max() <= 1

    check()


@DTYPES
def test_tnfw_equals_lenstronomy_over_its_domain(errors, dtype: torch.dtype) -> None:
    @settings(max_examples=50, deadline=None)
    # Up to 1e-2 scale radii from the centre lenstronomy errs by up to 1e-7 arcsec: its terms cancel.
    @given(Rs=st.floats(0.05, 5), alpha_Rs=strengths, tau=truncations, center_x=places, center_y=places)
    def check(Rs: float, tau: float, **halo: float) -> None:
        assert errors("TNFW", dtype, Rs=Rs, r_trunc=tau * Rs, **halo).max() <= 1

    check()


@DTYPES
def test_pjaffe_equals_lenstronomy_over_its_domain(errors, dtype: torch.dtype) -> None:
    @settings(max_examples=50, deadline=None)
    @given(sigma0=strengths, Ra=st.floats(1e-3, 1), ratio=st.floats(1.01, 100), center_x=places, center_y=places)
    def check(Ra: float, ratio: float, **halo: float) -> None:
        assert errors("PJAFFE", dtype, Ra=Ra, Rs=ratio * Ra, **halo).max() <= 1

    check()


@pytest.mark.parametrize("Rs", [0.07, 1.0, 13.0])
@pytest.mark.parametrize("radii", [RADII, AROUND_ONE])
def test_nfw_equals_its_closed_form(radial, Rs: float, radii: torch.Tensor) -> None:
    exact = torch.tensor([float(nfw_exact(x, Rs, 0.8)) for x in radii.tolist()], dtype=torch.float64)
    assert ((radial("NFW", radii * Rs, Rs=Rs, alpha_Rs=0.8) / exact - 1).abs() < 3e-13).all()
    single = radial("NFW", (radii * Rs).float(), Rs=Rs, alpha_Rs=0.8).double()
    assert ((single / exact - 1).abs() < 3e-6).all()


@pytest.mark.parametrize("tau", [0.05, 0.9, 1.0, 1.1, 10.0, 1e3])
@pytest.mark.parametrize("radii", [RADII, AROUND_ONE])
def test_tnfw_equals_its_closed_form(radial, tau: float, radii: torch.Tensor) -> None:
    """Errors are relative to the deflection within the truncation radius.

    Farther out, terms cancel, and errors are relative to the largest deflection.
    """
    halo = {"Rs": 0.7, "alpha_Rs": 0.8, "r_trunc": 0.7 * tau}
    exact = torch.tensor([float(tnfw_exact(x, **halo)) for x in radii.tolist()], dtype=torch.float64)
    largest = (exact * radii).cummax(0).values / radii
    scale = torch.where(radii < tau, exact, largest)
    assert ((radial("TNFW", radii * 0.7, **halo) - exact).abs() < 1e-12 * scale).all()
    single = radial("TNFW", (radii * 0.7).float(), **halo).double()
    assert ((single - exact).abs() < 1e-5 * scale).all()


@pytest.mark.parametrize("ratio", [1e-5, 0.1, 0.999999, 3.0])
def test_pjaffe_equals_its_closed_form(radial, ratio: float) -> None:
    """Either of the two radii may be larger."""
    halo = {"Rs": 0.7, "sigma0": 0.8, "Ra": 0.7 * ratio}
    exact = torch.tensor([float(pjaffe_exact(x, **halo)) for x in RADII.tolist()], dtype=torch.float64)
    assert ((radial("PJAFFE", RADII * 0.7, **halo) / exact - 1).abs() < 1e-13).all()
    single = radial("PJAFFE", (RADII * 0.7).float(), **halo).double()
    assert ((single / exact - 1).abs() < 2e-6).all()


def test_pjaffe_of_two_equal_radii(radial) -> None:
    """Check kappa = sigma0 R^3 / (r^2 + R^2)^(3/2).

    Its deflection is 2 sigma0 R^2 r / (S (S + R)) with S = sqrt(r^2 + R^2).
    """
    R, S = 0.7, (0.7**2 + RADII**2).sqrt()
    found = radial("PJAFFE", RADII, sigma0=0.8, Ra=R, Rs=R)
    assert torch.allclose(found, 2 * 0.8 * R * R / (S * (S + R)), rtol=1e-13)


def test_truncation_far_out_changes_nothing(radial) -> None:
    radii = torch.linspace(0.01, 5, 20, dtype=torch.float64)
    whole = radial("NFW", radii, Rs=0.5, alpha_Rs=0.3)
    assert torch.allclose(radial("TNFW", radii, Rs=0.5, alpha_Rs=0.3, r_trunc=1e6), whole, rtol=1e-4)


@DTYPES
@pytest.mark.parametrize(
    ("profile", "halo"),
    [
        ("NFW", {"Rs": 0.5, "alpha_Rs": 0.3}),
        ("TNFW", {"Rs": 0.5, "alpha_Rs": 0.3, "r_trunc": 0.2}),
        ("PJAFFE", {"sigma0": 0.3, "Ra": 0.01, "Rs": 0.3}),
    ],
)
def test_centre_is_finite_and_deflects_nothing(profile: str, halo: dict[str, float], dtype: torch.dtype) -> None:
    halo = {
        name: torch.tensor([value], dtype=dtype, requires_grad=True)
        for name, value in (halo | {"center_x": 0.1, "center_y": math.pi}).items()
    }
    x, y = (halo[name].detach()[:, None, None] for name in ("center_x", "center_y"))
    alpha = deflection(x, y, [(profile, halo)])
    assert all((part == 0).all() for part in alpha)
    (alpha[0] + alpha[1]).sum().backward()
    assert all(value.grad.isfinite().all() for value in halo.values())
