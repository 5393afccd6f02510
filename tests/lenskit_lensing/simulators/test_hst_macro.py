"""The macro model of HST-like lenses renders the simulator's light."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from lenskit.chosen import build
from lenskit.errors import UsageError
from lenskit.kinds.macro_model import MacroModel
from lenskit_lensing.instruments.psf import profile_psf
from lenskit_lensing.light import core_sersic
from lenskit_lensing.simulators.hst import HST, normalised
from lenskit_lensing.simulators.hst_macro import DEVIATIONS


@pytest.fixture
def psf(tmp_path: Path) -> str:
    np.save(tmp_path / "psf.npy", profile_psf(0.1, 0.05)[None].numpy())
    return str(tmp_path / "psf.npy")


def simulator(**options: Any) -> HST:
    return build("simulator", "hst", {"pixels": 48, "merger_fraction": 0, "theta_E": "uniform(0.6, 0.9)", **options})


def drawn(made: HST, model: MacroModel, n: int, dtype: torch.dtype = torch.float32) -> tuple[dict[str, Tensor], Tensor]:
    """Scenes, and their parameters in the macro model."""
    scene = made.scene(0, "test", torch.arange(n), dtype=dtype)
    scene["source_core_radius"] = scene["source_Rb"] / scene["source_R_sersic"]
    for name, of_mass in DEVIATIONS.items():
        scene[f"{name}_deviation"] = scene[name] - scene[of_mass]
    return scene, torch.stack([scene[name] for name in model.bounds], 1)


def named(model: MacroModel, part: str, values: Tensor) -> dict[str, Tensor]:
    return {name: values[:, i] for i, name in enumerate(model.bounds) if name in model.parts[part]}


def test_renders_what_the_simulator_renders(psf: str) -> None:
    made = simulator(psf=psf)
    model = made.macro_model()
    scene, values = drawn(made, model, 8)
    for part, expected in zip(("source", "lens_light"), made.renderer(scene), strict=True):
        light = model.blur(model.surface(part, named(model, part, values))[:, None])[:, 0]
        torch.testing.assert_close(normalised(light), normalised(expected), rtol=0, atol=1e-4)


def test_is_differentiable_in_forward_mode(psf: str) -> None:
    """Compare with a central difference."""
    made = simulator(psf=psf)
    model = made.macro_model()
    _, values = drawn(made, model, 3, torch.float64)
    gamma = list(model.bounds).index("gamma")
    step = torch.zeros_like(values)
    step[:, gamma] = 1

    def arc(moved: Tensor) -> Tensor:
        return model.surface("source", named(model, "source", moved))

    with torch.no_grad():
        _, tangent = torch.func.jvp(arc, (values,), (step,))
        expected = (arc(values + 1e-6 * step) - arc(values - 1e-6 * step)) / 2e-6
    torch.testing.assert_close(tangent, expected, rtol=1e-3, atol=1e-5 * expected.abs().max().item())


def test_draws_lie_within_the_bounds(psf: str) -> None:
    made = simulator(psf=psf, velocity_dispersion="uniform(180, 250)", z_lens="0.3", z_source="uniform(1, 2)",
                     theta_E="uniform(0.8, 1.8)")  # fmt: skip
    model = made.macro_model()
    _, values = drawn(made, model, 500)
    for (name, (low, high)), column in zip(model.bounds.items(), values.T, strict=True):
        inside = (column >= low - 1e-5) & (column <= high + 1e-5)
        # Deviations of the lens light are normal: 0.3 % lie beyond three standard deviations.
        assert inside.float().mean() > (0.98 if name.endswith("deviation") else 0.999), name


def test_the_variance_is_that_of_white_noise(psf: str) -> None:
    model = simulator(psf=psf, log_noise="-2").macro_model()
    assert model.noise_is_known
    assert not simulator(psf=psf).macro_model().noise_is_known
    light = torch.rand(2, 48, 48)
    torch.testing.assert_close(model.variance(light)[:, 0, 0], 1e-4 * light.amax((1, 2)).square())


def test_options_that_it_does_not_describe_are_refused() -> None:
    with pytest.raises(UsageError, match=r"needs simulator.neighbours=0, simulator.psf=FILE, with one PSF$"):
        simulator(neighbours="2").macro_model()


@pytest.mark.parametrize("rays", [1, 2])
def test_rays_are_traced_to_the_source(psf: str, rays: int) -> None:
    """A core-Sersic profile at the traced positions is the rendered source."""
    made = simulator(psf=psf, supersampling=rays)
    model = made.macro_model()
    scene, values = drawn(made, model, 4)
    x, y = model.traced({name: scene[name] for name in model.traced_by})
    assert x.shape == (4, 48 * rays, 48 * rays)
    zero = torch.zeros(4)
    light = core_sersic(
        x, y, R_sersic=scene["source_R_sersic"], Rb=scene["source_Rb"], n_sersic=scene["source_n"],
        gamma=scene["source_core_slope"], e1=scene["source_e1"], e2=scene["source_e2"], center_x=zero, center_y=zero,
    )  # fmt: skip
    expected = model.surface("source", named(model, "source", values))
    torch.testing.assert_close(normalised(avg_pool2d(light, rays)), normalised(expected), rtol=0, atol=1e-3)


def test_sources_of_other_forms_are_told(psf: str) -> None:
    assert simulator(psf=psf).macro_model().other_sources == ()
    assert simulator(psf=psf, merger_fraction=0.1).macro_model().other_sources == ("merger_fraction=0",)
