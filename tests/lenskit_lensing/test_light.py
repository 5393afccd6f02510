"""Surface brightness against lenstronomy and closed forms."""

from __future__ import annotations

import math

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from lenstronomy.LightModel.light_model import LightModel
from lenstronomy.LightModel.Profiles.sersic import Sersic

from lenskit_lensing.light import core_sersic, core_sersic_light, pixelated, sersic

torch.set_num_threads(1)

X, Y = torch.meshgrid(
    torch.linspace(-1.5, 1.5, 31, dtype=torch.float64),
    torch.linspace(-1.2, 1.2, 25, dtype=torch.float64),
    indexing="xy",
)

radii = st.floats(0.05, 3)
indices = st.floats(0.5, 8)
shapes = st.tuples(st.floats(0.15, 1), st.floats(-math.pi, math.pi)).map(
    lambda shape: {
        "e1": (1 - shape[0]) / (1 + shape[0]) * math.cos(2 * shape[1]),
        "e2": (1 - shape[0]) / (1 + shape[0]) * math.sin(2 * shape[1]),
    }
)
centers = st.fixed_dictionaries({"center_x": st.floats(-1, 1), "center_y": st.floats(-1, 1)})


def tensors(arguments: dict[str, float], dtype: torch.dtype = torch.float64) -> dict[str, torch.Tensor]:
    return {name: torch.tensor([value], dtype=dtype) for name, value in arguments.items()}


def reference(profile: str, **arguments) -> torch.Tensor:
    values = LightModel([profile]).surface_brightness(X.numpy().ravel(), Y.numpy().ravel(), [{"amp": 1.0} | arguments])
    return torch.from_numpy(values).reshape(1, *X.shape)


def agree(found: torch.Tensor, expected: torch.Tensor) -> bool:
    return bool((found - expected).abs().max() <= 1e-10 * expected.abs().max())


@settings(max_examples=60, deadline=None)
@given(R_sersic=radii, n_sersic=indices, shape=shapes, center=centers)
def test_sersic_equals_lenstronomy(R_sersic: float, n_sersic: float, shape: dict, center: dict) -> None:
    arguments = {"R_sersic": R_sersic, "n_sersic": n_sersic} | shape | center
    assert agree(sersic(X, Y, **tensors(arguments)), reference("SERSIC_ELLIPSE", **arguments))


@settings(max_examples=60, deadline=None)
@given(
    R_sersic=radii, n_sersic=indices, core=st.floats(0, 1), gamma=st.floats(0, 1), shape=shapes, center=centers
)  # fmt: skip
def test_core_sersic_equals_lenstronomy(
    R_sersic: float, n_sersic: float, core: float, gamma: float, shape: dict, center: dict
) -> None:
    arguments = {"R_sersic": R_sersic, "Rb": core * R_sersic, "n_sersic": n_sersic, "gamma": gamma} | shape | center
    assert agree(core_sersic(X, Y, **tensors(arguments)), reference("CORE_SERSIC", **arguments))


@settings(max_examples=30, deadline=None)
@given(angle=st.floats(-7, 7), scale=st.floats(0.02, 0.3), mirror=st.sampled_from([-1.0, 1.0]), center=centers)
def test_pixelated_equals_lenstronomy(angle: float, scale: float, mirror: float, center: dict) -> None:
    image = torch.rand(12, 12, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    theirs = image.numpy()[:, :: int(mirror)].copy()
    expected = reference("INTERPOL", image=theirs, phi_G=angle, scale=scale, **center)
    arguments = tensors({"angle": angle, "scale": scale, "mirror": mirror} | center)
    assert agree(pixelated(X[None], Y[None], images=image[None], **arguments), expected)


def test_pixelated_keeps_each_rows_own_image() -> None:
    images = torch.rand(3, 9, 9, dtype=torch.float64)
    zero, one = torch.zeros(3, dtype=torch.float64), torch.ones(3, dtype=torch.float64)
    axis = torch.arange(9, dtype=torch.float64) - 4
    x, y = (part.expand(3, 9, 9) for part in torch.meshgrid(axis, axis, indexing="xy"))
    found = pixelated(x, y, images=images, scale=one, angle=zero, mirror=one, center_x=zero, center_y=zero)
    assert torch.allclose(found, images)


def test_profiles_are_finite_at_their_centre() -> None:
    arguments = {"R_sersic": 0.3, "n_sersic": 8.0, "e1": 0.3, "e2": -0.2, "center_x": 0.1, "center_y": 0.2}
    at = (torch.tensor([[0.1]]), torch.tensor([[0.2]]))
    assert sersic(*at, **tensors(arguments, torch.float32)).isfinite().all()
    assert core_sersic(*at, **tensors(arguments | {"Rb": 0.02, "gamma": 0.5}, torch.float32)).isfinite().all()


def test_light_of_a_profile_without_core() -> None:
    """lenstronomy's closed form for the flux; and R_sersic is the half-light radius, as far as b_n's formula goes."""
    n = torch.tensor([1.0, 2.0, 4.0, 6.0], dtype=torch.float64)
    flux, radius = core_sersic_light(torch.zeros_like(n), n, torch.zeros_like(n))
    expected = [Sersic().total_flux(amp=1, R_sersic=1, n_sersic=index) for index in n.tolist()]
    assert np.allclose(flux, expected, rtol=1e-3)
    assert np.allclose(radius, 1, rtol=6e-3)


def test_half_of_the_light_is_within_the_half_light_radius() -> None:
    Rb, n, gamma = (torch.tensor([value], dtype=torch.float64) for value in (0.25, 3.0, 0.3))
    flux, radius = core_sersic_light(Rb, n, gamma)
    r = torch.linspace(0, float(radius), 200_001, dtype=torch.float64)
    zero, one = torch.zeros_like(n), torch.ones_like(n)
    shape = {"e1": zero, "e2": zero, "center_x": zero, "center_y": zero}
    brightness = core_sersic(r[None, :], torch.zeros(1, 1), R_sersic=one, Rb=Rb, n_sersic=n, gamma=gamma, **shape)
    within = torch.trapezoid(2 * math.pi * r * brightness[0, 0], r)
    assert abs(float(within / flux) - 0.5) < 1e-3


def test_gradients() -> None:
    x, y = X[::8, ::10], Y[::8, ::10]
    shape = {"e1": 0.2, "e2": -0.1, "center_x": 0.05, "center_y": 0.02}
    for profile, own in (
        (sersic, {"R_sersic": 0.4, "n_sersic": 3.0}),
        (core_sersic, {"R_sersic": 0.4, "Rb": 0.1, "n_sersic": 2.0, "gamma": 0.2}),
    ):
        arguments = tensors(own | shape)
        names, values = list(arguments), [value.requires_grad_() for value in arguments.values()]

        def brightness(*values: torch.Tensor, profile=profile, names=names) -> torch.Tensor:
            return profile(x, y, **dict(zip(names, values, strict=True)))

        assert torch.autograd.gradcheck(brightness, values)
