"""Lenses of several components against lenstronomy, gradients, and errors."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from lenstronomy.LensModel.lens_model import LensModel

from lenskit.plugin import UsageError
from lenskit_lensing.mass import PROFILES, deflection, hessian, magnification

torch.set_num_threads(1)

AT = {"center_x": [0.1, -0.1], "center_y": [0.2, 0.15]}
ROUND_AND_FLAT = {"e1": [0.0, -0.4], "e2": [0.0, 0.3]}
EXAMPLES: dict[str, dict[str, Any]] = {
    "EPL": {"theta_E": [1.3, 0.9], "gamma": [1.3, 2.7]} | ROUND_AND_FLAT | AT,
    "SIE": {"theta_E": [1.3, 0.9]} | ROUND_AND_FLAT | AT,
    "SIS": {"theta_E": [1.3, 0.9]} | AT,
    "NFW": {"Rs": [0.8, 0.1], "alpha_Rs": [0.4, 0.2]} | AT,
    "TNFW": {"Rs": [0.8, 0.1], "alpha_Rs": [0.4, 0.2], "r_trunc": [0.3, 0.5]} | AT,
    "PJAFFE": {"sigma0": [0.4, 1.2], "Ra": [0.1, 0.5], "Rs": [1.0, 0.51]} | AT,
    "POINT_MASS": {"theta_E": [0.3, 0.1]} | AT,
    "SHEAR": {"gamma1": [0.1, -0.03], "gamma2": [0.0, 0.05], "ra_0": [0.0, 0.1], "dec_0": [0.0, 0.1]},
    "CONVERGENCE": {"kappa": [0.1, -0.1], "ra_0": [0.1, -0.2], "dec_0": [0.2, 0.1]},
    "MULTIPOLE": {"m": 4, "a_m": [0.1, -0.05], "phi_m": [0.3, 1.0]} | AT,
}
NAMES = pytest.mark.parametrize("name", EXAMPLES)

MAIN = {"theta_E": 1.3, "gamma": 2.2, "e1": 0.25, "e2": -0.3, "center_x": 0.05, "center_y": -0.1}
SHEAR = {"gamma1": 0.05, "gamma2": -0.03}
MIXED = [
    ("EPL", MAIN),
    ("SHEAR", SHEAR),
    ("TNFW", {"Rs": 0.1, "alpha_Rs": 0.05, "r_trunc": 0.3, "center_x": 1.0, "center_y": 0.4}),
    ("MULTIPOLE", {"m": 4, "a_m": 0.02, "phi_m": 0.3, "center_x": 0.05, "center_y": -0.1}),
]


def example(name: str) -> dict[str, Any]:
    return {
        key: value if key == "m" else torch.tensor(value, dtype=torch.float64) for key, value in EXAMPLES[name].items()
    }


def grid(count: int = 9) -> tuple[torch.Tensor, torch.Tensor]:
    axis = torch.linspace(-2, 2, count, dtype=torch.float64)
    return axis[None, :], axis[:, None]


def test_there_is_an_example_of_every_profile() -> None:
    assert set(EXAMPLES) == set(PROFILES)


@NAMES
def test_gradients(name: str) -> None:
    """Check gradients with respect to all parameters and positions.

    Positions are in the centre's pixel, near and far.
    """
    parameters = example(name)
    varied = [key for key in parameters if key != "m"]
    leaves = [parameters[key].clone().requires_grad_() for key in varied]
    # The formulas change at the scale radius, which is 0.1 for the second halo.
    x = torch.tensor([0.00005, 0.0, -1.2, 0.9], dtype=torch.float64).expand(2, 1, 4).clone().requires_grad_()
    y = torch.tensor([0.15, -0.4, 0.3, 3.0], dtype=torch.float64).expand(2, 1, 4).clone().requires_grad_()

    def alpha(x: torch.Tensor, y: torch.Tensor, *values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return deflection(x, y, [(name, parameters | dict(zip(varied, values, strict=True)))])

    assert torch.autograd.gradcheck(alpha, [x, y, *leaves])


@pytest.mark.slow
@NAMES
def test_hessian_equals_lenstronomy(name: str) -> None:
    x, y = grid(8)
    found = hessian(x, y, [(name, example(name))])
    flat = [part.numpy().ravel() for part in torch.broadcast_tensors(x, y)]
    for row in (0, 1):
        parameters = {key: value if key == "m" else value[row].item() for key, value in example(name).items()}
        profile = name
        if name == "SIE":
            # lenstronomy's Hessian of an SIE is a finite difference.
            profile, parameters = "EPL", parameters | {"gamma": 2.0}
        xx, xy, _, yy = LensModel([profile]).hessian(*flat, [parameters])
        for ours, theirs in zip(found, (xx, xy, yy), strict=True):
            np.testing.assert_allclose(ours[row].numpy().ravel(), theirs, rtol=1e-8, atol=1e-8)


def test_components_add_up_as_in_lenstronomy() -> None:
    x, y = grid()
    found = deflection(x, y, MIXED)
    model = LensModel([name for name, _ in MIXED])
    flat = [part.numpy().ravel() for part in torch.broadcast_tensors(x, y)]
    for ours, theirs in zip(found, model.alpha(*flat, [parameters for _, parameters in MIXED]), strict=True):
        assert ours.shape == (1, 9, 9)
        np.testing.assert_allclose(ours.numpy().ravel(), theirs, atol=1e-9)


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(
    theta_E=st.floats(0.5, 2), gamma=st.floats(1.4, 2.6), q=st.floats(0.15, 1), phi=st.floats(-3, 3),
    direction=st.floats(-math.pi, math.pi), gamma1=st.floats(-0.1, 0.1),
)  # fmt: skip
def test_rays_of_sources_on_caustics(
    theta_E: float, gamma: float, q: float, phi: float, direction: float, gamma1: float
) -> None:
    """Rays within 1e-7 of the critical curve agree with lenstronomy's.

    Sources of these rays lie on a caustic.
    """
    e = (1 - q) / (1 + q)
    lens = {"theta_E": theta_E, "gamma": gamma, "e1": e * math.cos(2 * phi), "e2": e * math.sin(2 * phi)}
    model, kwargs = LensModel(["EPL", "SHEAR"]), [lens, {"gamma1": gamma1, "gamma2": 0.0}]
    components = list(zip(("EPL", "SHEAR"), kwargs, strict=True))

    def determinant(r: float) -> float:
        xx, xy, _, yy = model.hessian(r * math.cos(direction), r * math.sin(direction), kwargs)
        return (1 - xx) * (1 - yy) - xy * xy

    low, high = 0.02 * theta_E, 8 * theta_E
    while determinant(low) > 0:  # within the inner critical curve, which shallow lenses have
        low *= 1.1
    while high - low > 1e-7:
        middle = (low + high) / 2
        low, high = (middle, high) if determinant(middle) < 0 else (low, middle)
    x, y = (torch.tensor([[[low * part(direction)]]], dtype=torch.float64) for part in (math.cos, math.sin))
    theirs = [float(part) for part in model.alpha(x.item(), y.item(), kwargs)]
    for dtype, arcsec in ((torch.float64, 1e-9), (torch.float32, 1e-5)):
        ours = deflection(x.to(dtype), y.to(dtype), components)
        assert all(abs(a.item() - b) <= arcsec for a, b in zip(ours, theirs, strict=True))
    assert abs(1 / magnification(x, y, components)).item() < 1e-4


def test_magnification_equals_lenstronomy() -> None:
    x, y = grid(6)
    flat = [part.numpy().ravel() for part in torch.broadcast_tensors(x, y)]
    theirs = LensModel(["EPL", "SHEAR"]).magnification(*flat, [MAIN, SHEAR])
    ours = magnification(x, y, MIXED[:2])[0].numpy().ravel()
    np.testing.assert_allclose(1 / ours, 1 / theirs, atol=1e-9)


def test_derivatives_of_the_magnification() -> None:
    """Compare gradients through `create_graph` with finite differences."""
    x, y = torch.tensor([[[0.9]]], dtype=torch.float64), torch.tensor([[[0.4]]], dtype=torch.float64)

    def inverse(theta_E: torch.Tensor) -> torch.Tensor:
        return 1 / magnification(x, y, [("EPL", MAIN | {"theta_E": theta_E})], create_graph=True)

    assert torch.autograd.gradcheck(inverse, [torch.tensor([1.3], dtype=torch.float64, requires_grad=True)])


@pytest.mark.parametrize("name", ["POINT_MASS", "TNFW", "PJAFFE"])
def test_many_haloes_of_one_kind_are_their_sum(name: str) -> None:
    n, k = 3, 5
    random = torch.Generator().manual_seed(0)
    halo = {key: value[:1] for key, value in example(name).items()}
    for center in ("center_x", "center_y"):
        halo[center] = 2 * torch.rand(n, k, generator=random, dtype=torch.float64) - 1
    x, y = grid()
    together = deflection(x, y, [(name, halo)])
    alone = [
        deflection(x, y, [(name, {key: value[:, i] if value.ndim == 2 else value for key, value in halo.items()})])
        for i in range(k)
    ]
    for part in (0, 1):
        assert together[part].shape == (n, 9, 9)
        assert torch.allclose(together[part], sum(a[part] for a in alone), rtol=1e-13)


@NAMES
def test_lenses_do_not_depend_on_their_neighbours(name: str) -> None:
    parameters = {key: value if key == "m" else value.float() for key, value in example(name).items()}
    x, y = (part.float() for part in grid())
    together = deflection(x, y, [(name, parameters)])
    for row in (0, 1):
        one = {key: value if key == "m" else value[row : row + 1] for key, value in parameters.items()}
        for found, alone in zip(together, deflection(x, y, [(name, one)]), strict=True):
            assert torch.allclose(found[row], alone[0], rtol=0, atol=2e-6)


def test_numbers_and_lenstronomys_own_arguments_are_taken() -> None:
    """Deflections have the precision of the positions, whatever type parameters have."""
    x, y = (part.float() for part in grid())
    r_E = {"m": 3, "a_m": 0.1, "phi_m": 0.2, "center_x": 0, "center_y": 0, "r_E": 1.0}
    alpha = deflection(x, y, [("SIS", {"theta_E": np.float64(1.0)}), ("MULTIPOLE", r_E)])
    assert all(part.dtype == torch.float32 and part.shape == (1, 9, 9) for part in alpha)


def test_nothing_deflects_nothing() -> None:
    assert all((part == 0).all() and part.shape == (1, 9, 9) for part in deflection(*grid(), []))


@pytest.mark.parametrize(
    ("component", "complaint"),
    [
        (("EPLL", {}), r"no profile EPLL \(did you mean EPL"),
        (("gaussian", {}), "no profile gaussian; there are EPL, SIE"),
        (("SIS", {"theta_e": 1}), "SIS has no parameter theta_e: it takes theta_E, center_x, center_y"),
        (("EPL", {"theta_E": 1, "e1": 0, "e2": 0}), "EPL lacks gamma: it takes"),
        (("SIS", {"theta_E": torch.ones(2), "center_x": torch.ones(3)}), "for 2 and for 3 lenses"),
        (("SIS", {"theta_E": torch.ones(1, 2), "center_x": torch.ones(1, 3)}), "do not match"),
        (("SIS", {"theta_E": torch.ones(1, 2, 2)}), "do not match"),
    ],
)
def test_mistakes_are_named(component: tuple[str, dict[str, Any]], complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint):
        deflection(*grid(), [component])
