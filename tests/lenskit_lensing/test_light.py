"""Surface brightness against lenstronomy and closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from lenstronomy.LightModel.light_model import LightModel
from lenstronomy.LightModel.Profiles.sersic import Sersic
from scipy.integrate import quad

from lenskit.plugin import UsageError
from lenskit_lensing.light import PROFILES, core_sersic, core_sersic_light, pixelated, sersic, surface_brightness

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
    """Compare the flux with lenstronomy's closed form.

    R_sersic is the half-light radius, up to the accuracy of the formula for b_n.
    """
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


@settings(max_examples=25, deadline=None)
@given(Rb=st.floats(0, 1), n=st.floats(0.5, 8), gamma=st.floats(0, 0.999))
def test_light_is_the_integral_of_the_profile(Rb: float, n: float, gamma: float) -> None:
    flux, radius = core_sersic_light(*(torch.tensor([value], dtype=torch.float64) for value in (Rb, n, gamma)))
    b = 1.9992 * n - 0.3271

    def ring(log_r: float) -> float:
        r = math.exp(log_r)
        core = (1 + (Rb / r) ** 3) ** (gamma / 3)
        return 2 * math.pi * r * r * core * math.exp(-b * ((r**3 + Rb**3) ** (1 / (3 * n)) - 1))

    def light(low: float, high: float) -> float:
        return quad(ring, low, high, epsrel=1e-7, limit=500)[0]

    inner, middle, outer = light(-30, -5), light(-5, math.log(float(radius))), light(math.log(float(radius)), 15)
    total = inner + middle + outer
    assert float(flux) == pytest.approx(total, rel=5e-3)
    # Error of ln(radius): the light between the radius found and the half-light radius, over the light of a ring.
    assert abs(inner + middle - total / 2) / ring(math.log(float(radius))) < 5e-3


SHAPE = {"e1": 0.2, "e2": -0.1, "center_x": 0.05, "center_y": 0.02}
IMAGE = torch.rand(7, 9, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
EXAMPLES = {
    "SERSIC": {"amp": 2.0, "R_sersic": 0.4, "n_sersic": 3.0, "center_x": 0.05, "center_y": 0.02},
    "SERSIC_ELLIPSE": {"amp": 1.5, "R_sersic": 0.6, "n_sersic": 1.0} | SHAPE,
    "CORE_SERSIC": {"amp": 0.7, "R_sersic": 0.4, "Rb": 0.1, "n_sersic": 2.0, "gamma": 0.2} | SHAPE,
    "INTERPOL": {"amp": 0.5, "scale": 0.21, "phi_G": 0.4, "center_x": 0.03, "center_y": -0.1, "image": IMAGE},
}
NAMES = pytest.mark.parametrize("name", EXAMPLES)


def test_there_is_an_example_of_every_profile() -> None:
    assert set(EXAMPLES) == set(PROFILES)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-4), (torch.float64, 1e-10)])
@NAMES
def test_profiles_by_lenstronomys_names(name: str, dtype: torch.dtype, tolerance: float) -> None:
    found = surface_brightness(X.to(dtype), Y.to(dtype), [(name, EXAMPLES[name])])
    arguments = {k: v.numpy() if isinstance(v, torch.Tensor) else v for k, v in EXAMPLES[name].items()}
    expected = reference(name, **arguments)
    assert found.dtype == dtype
    assert (found - expected).abs().max() <= tolerance * expected.max()


@settings(max_examples=60, deadline=None)
@given(
    R_sersic=radii, n_sersic=indices, core=st.floats(0, 1), gamma=st.floats(0, 1), shape=shapes, center=centers
)  # fmt: skip
def test_single_precision_over_the_domain(
    R_sersic: float, n_sersic: float, core: float, gamma: float, shape: dict, center: dict
) -> None:
    """Both precisions use the same rounded position of a profile.

    The centre may be on a ray, because profiles are flat there.
    """
    common = {"R_sersic": R_sersic, "n_sersic": n_sersic} | shape | center
    for name, own in (("SERSIC_ELLIPSE", {}), ("CORE_SERSIC", {"Rb": core * R_sersic, "gamma": gamma})):
        single = {key: np.float64(np.float32(value)) for key, value in (common | own).items()}
        exact = surface_brightness(X.float().double(), Y.float().double(), [(name, single)])
        found = surface_brightness(X.float(), Y.float(), [(name, single)])
        assert (found - exact).abs().max() <= 1e-4 * exact.max()


def test_a_mixture_is_the_sum_of_its_components() -> None:
    mixture = [(name, EXAMPLES[name]) for name in EXAMPLES]
    parts = [surface_brightness(X, Y, [component]) for component in mixture]
    assert torch.allclose(surface_brightness(X, Y, mixture), sum(parts), rtol=1e-13)


def test_several_of_a_kind_in_every_scene() -> None:
    x = torch.linspace(-1, 1, 5, dtype=torch.float64)[:, None].expand(5, 3)
    knots = {"R_sersic": 0.1, "n_sersic": 1.0, "center_x": x, "center_y": 0.3, "amp": torch.arange(3.0).expand(5, 3)}
    found = surface_brightness(X[None, 0, :], Y[:, :1], [("SERSIC", knots)])
    one = [surface_brightness(X, Y, [("SERSIC", knots | {"center_x": x[:, 0], "amp": a})]) for a in (0.0, 1.0, 2.0)]
    assert found.shape == (5, *X.shape)
    assert torch.allclose(found, sum(one), rtol=1e-13)


@pytest.mark.parametrize(
    ("component", "complaint"),
    [
        (("SERSIC_ELIPSE", {}), r"no profile SERSIC_ELIPSE \(did you mean SERSIC_ELLIPSE"),
        (("SERSIC", {"R_sersic": 1, "n_sersic": 1, "e1": 0}), "SERSIC has no parameter e1: it takes R_sersic"),
        (("INTERPOL", {"scale": 1}), "INTERPOL lacks image"),
    ],
)
def test_mistakes_are_named(component: tuple[str, dict], complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint):
        surface_brightness(X, Y, [component])


@NAMES
def test_gradients(name: str) -> None:
    """Check gradients with respect to positions, all parameters, and any image."""
    x, y = X[None, ::8, ::10].clone().requires_grad_(), Y[None, ::8, ::10].clone().requires_grad_()
    parameters = {k: torch.as_tensor(v, dtype=torch.float64) for k, v in EXAMPLES[name].items()}
    leaves = [value.clone().requires_grad_() for value in parameters.values()]

    def brightness(x: torch.Tensor, y: torch.Tensor, *values: torch.Tensor) -> torch.Tensor:
        return surface_brightness(x, y, [(name, dict(zip(parameters, values, strict=True)))])

    assert torch.autograd.gradcheck(brightness, [x, y, *leaves])


@NAMES
def test_gradients_are_finite_at_the_centre(name: str) -> None:
    parameters = {k: torch.as_tensor(v, dtype=torch.float32) for k, v in EXAMPLES[name].items()}
    leaves = {k: v.clone().requires_grad_() for k, v in parameters.items()}
    at = [parameters[key].reshape(1, 1, 1).clone().requires_grad_() for key in ("center_x", "center_y")]
    found = surface_brightness(*at, [(name, leaves)])
    found.sum().backward()
    assert found.isfinite().all()
    assert all(value.grad.isfinite().all() for value in (*at, *leaves.values()))
