"""Deflections against lenstronomy, closed forms and derivatives."""

from __future__ import annotations

import math
from itertools import product

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lenskit_lensing.mass import epl, epl_terms
from lenskit_lensing.mass.power_law import TOLERANCE

torch.set_num_threads(1)

AXIS = (torch.arange(48, dtype=torch.float64) - 23.5) * 0.11
LARGEST = math.hypot(0.5, 0.5)
"""Largest |e| of the LenSiam prior."""


def corners() -> dict[str, torch.Tensor]:
    """Lenses at the corners of LenSiam's prior in gamma, e1 and e2, and in between."""
    rows = [(1.8, *row, 0.15, -0.15) for row in product((1.5, 2.0, 2.5), (-0.5, 0.0, 0.5), (-0.5, 0.0, 0.5))]
    names = ("theta_E", "gamma", "e1", "e2", "center_x", "center_y")
    return dict(zip(names, torch.tensor(rows, dtype=torch.float64).T, strict=True))


@pytest.mark.parametrize(("dtype", "arcsec"), [(torch.float32, 1e-5), (torch.float64, 1e-9)])
def test_power_law_equals_lenstronomy_over_the_prior(reference, dtype: torch.dtype, arcsec: float) -> None:
    lenses = corners()
    rounded = {name: values.to(dtype) for name, values in lenses.items()}
    axis = AXIS.to(dtype)
    terms = epl_terms(LARGEST, TOLERANCE[dtype])
    found = torch.stack(epl(axis[None, :], axis[:, None], **rounded, terms=terms), dim=1)
    exact = reference(
        "EPL", {k: v.double() for k, v in rounded.items()}, axis.double()[None, :], axis.double()[:, None]
    )
    assert (found.double() - exact).abs().max() < arcsec


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_power_law_equals_lenstronomy_over_its_domain(errors, dtype: torch.dtype) -> None:
    @settings(max_examples=60, deadline=None)
    @given(
        theta_E=st.floats(0.1, 3),
        gamma=st.floats(1.2, 2.8),
        q=st.floats(0.15, 1),
        phi=st.floats(-math.pi, math.pi),
        x=st.floats(-1, 1),
        y=st.floats(-1, 1),
    )
    def check(q: float, phi: float, x: float, y: float, **lens: float) -> None:
        e = (1 - q) / (1 + q)
        shape = {"e1": e * math.cos(2 * phi), "e2": e * math.sin(2 * phi), "center_x": x, "center_y": y}
        assert errors("EPL", dtype, **lens, **shape).max() <= 1

    check()


def test_round_isothermal_lens_deflects_by_its_einstein_radius() -> None:
    lens = {k: torch.tensor([v]) for k, v in {"theta_E": 1.3, "gamma": 2.0, "center_x": 0.0, "center_y": 0.0}.items()}
    x, y = torch.meshgrid(AXIS, AXIS, indexing="xy")
    zero = torch.zeros(1)
    alpha_x, alpha_y = epl(x, y, **lens, e1=zero, e2=zero, terms=epl_terms(0, 1e-6))
    assert torch.allclose(torch.hypot(alpha_x, alpha_y), torch.full_like(alpha_x, 1.3), rtol=1e-6)
    assert torch.allclose(alpha_x * y, alpha_y * x, atol=1e-6)


def test_divergence_is_twice_the_convergence() -> None:
    """Compare the divergence with the convergence in LenSiam's paper.

    Along the axes, kappa = (3 - gamma) / 2 (theta_E / sqrt(q x^2 + y^2 / q))^(gamma - 1).
    """
    n, q, phi = 5, 0.6, 0.4
    e = (1 - q) / (1 + q)
    ones = torch.ones(n, dtype=torch.float64)
    gamma = torch.linspace(1.5, 2.5, n, dtype=torch.float64)
    x = torch.full((n, 1, 1), 0.7, dtype=torch.float64, requires_grad=True)
    y = torch.full((n, 1, 1), -0.5, dtype=torch.float64, requires_grad=True)
    alpha_x, alpha_y = epl(
        x, y, theta_E=1.2 * ones, gamma=gamma, e1=e * math.cos(2 * phi) * ones, e2=e * math.sin(2 * phi) * ones,
        center_x=0 * ones, center_y=0 * ones, terms=80,
    )  # fmt: skip
    (along_x,) = torch.autograd.grad(alpha_x.sum(), x, retain_graph=True)
    (along_y,) = torch.autograd.grad(alpha_y.sum(), y)
    major, minor = 0.7 * math.cos(phi) - 0.5 * math.sin(phi), -0.7 * math.sin(phi) - 0.5 * math.cos(phi)
    kappa = (3 - gamma) / 2 * (1.2 / math.sqrt(q * major**2 + minor**2 / q)) ** (gamma - 1)
    assert torch.allclose((along_x + along_y).flatten(), 2 * kappa, rtol=1e-10)


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(gamma=st.floats(1.05, 2.95), q=st.floats(0.03, 1), phi=st.floats(-math.pi, math.pi))
def test_the_shorter_series_is_the_same_sum(gamma: float, q: float, phi: float) -> None:
    """The plain series is used for tensors that require gradients."""
    e = (1 - q) / (1 + q)
    values = (1.2, gamma, e * math.cos(2 * phi), e * math.sin(2 * phi), 0.05, 0.0)
    names = ("theta_E", "gamma", "e1", "e2", "center_x", "center_y")
    lens = {name: torch.tensor([value], dtype=torch.float64) for name, value in zip(names, values, strict=True)}
    terms = epl_terms(0.97 / 1.03, 1e-12)
    x, y = AXIS[None, ::3], AXIS[::3, None]
    shorter = epl(x, y, **lens, terms=terms)
    plain = epl(x, y, **{name: value.requires_grad_() for name, value in lens.items()}, terms=terms)
    for a, b in zip(shorter, plain, strict=True):
        assert b.requires_grad
        # The terms that each sum omits are a geometric series; the first term is the tolerance.
        assert torch.allclose(a, b, rtol=0, atol=1e-11 / (1 - e))


@pytest.mark.slow
def test_gradients() -> None:
    lenses = [values[[0, 13, 20]].clone().requires_grad_() for values in corners().values()]
    grid = AXIS[::20]

    def deflection(theta_E, gamma, e1, e2, center_x, center_y):
        return epl(
            grid[None, :], grid[:, None], theta_E=theta_E, gamma=gamma, e1=e1, e2=e2, center_x=center_x,
            center_y=center_y, terms=70,
        )  # fmt: skip

    # Row 13 is round: e = 0 needs no special case.
    assert corners()["e1"][13] == corners()["e2"][13] == 0
    assert torch.autograd.gradcheck(deflection, lenses)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_centre_is_finite_and_deflects_nothing(dtype: torch.dtype) -> None:
    lenses = {name: values.to(dtype).requires_grad_() for name, values in corners().items()}
    x, y = (lenses[name].detach()[:, None, None] for name in ("center_x", "center_y"))
    alpha = epl(x, y, **lenses, terms=40)
    assert all((part == 0).all() for part in alpha)
    (alpha[0] + alpha[1]).sum().backward()
    assert all(values.grad.isfinite().all() for values in lenses.values())


def test_lenses_do_not_depend_on_their_neighbours() -> None:
    lenses = {name: values.float() for name, values in corners().items()}
    axis = AXIS.float()
    alone = [
        epl(axis[None], axis[:, None], **{k: v[i : i + 1] for k, v in lenses.items()}, terms=39) for i in range(27)
    ]
    together = epl(axis[None], axis[:, None], **lenses, terms=39)
    for component in (0, 1):
        assert torch.allclose(torch.cat([a[component] for a in alone]), together[component], rtol=0, atol=2e-6)


def test_more_elliptical_priors_take_more_terms() -> None:
    assert epl_terms(0.7071, 4e-5) == 32
    assert epl_terms(0.7071, 2e-9) == 60
    assert epl_terms(0.3, 4e-5) < 12
    assert epl_terms(0.0, 4e-5) >= 1
