"""Macro model: equal to the simulator's images without substructure."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch.nn.functional import avg_pool2d

from lenskit.chosen import build
from lenskit.errors import UsageError
from lenskit_deeplense.simulators.scenes import SubstructureScenes
from lenskit_deeplense.simulators.substructure import Substructure
from lenskit_lensing.light import sersic

SMALL = {"pixels": 40, "pixel_scale": 0.1}


def simulator(name: str = "deeplense-b", **options: Any) -> SubstructureScenes:
    return build("simulator", name, {**SMALL, **options})


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("deeplense-a", {}),
        ("deeplense-b", {}),
        ("substructure", {"supersampling": 2}),
        ("substructure", {"halo_mass": "1e12", "z_source": "uniform(0.8, 1.2)", "light_amplitude": "0"}),
        ("substructure", {"source_e1": "-0.1", "source_e2": "uniform(0, 0.1)", "psf": "none", "source_x": "0.1",
                          "source_y": "uniform(-0.1, 0.1)"}),
        ("deeplense-1", {}),
        ("deeplense-1", {"as_released": False, "halo_mass": "uniform(8e11, 1.2e12)"}),
        ("deeplense-2", {}),
        ("deeplense-3", {"as_released": False, "light_amplitude": "3"}),
    ],
)  # fmt: skip
def test_renders_what_the_simulator_renders(name: str, options: dict[str, Any]) -> None:
    made = simulator(name, **options)
    model = made.macro_model()
    scene = made.scene(0, "test", torch.arange(9))
    amplitudes = {"source": "source_amplitude", "lens_light": "light_amplitude"}
    total = torch.zeros(9, 40, 40)
    for part, names in model.parts.items():
        values = {parameter: scene[parameter] for parameter in names & model.bounds.keys()}
        light = model.blur(model.surface(part, values)[:, None])[:, 0]
        total += light * scene[amplitudes[part]][:, None, None]
    clean = made.clean(scene)
    torch.testing.assert_close(total, clean, rtol=1e-5, atol=1e-6 * clean.max().item())


@pytest.mark.parametrize("rays", [1, 2])
def test_rays_are_traced_to_the_source(rays: int) -> None:
    """A Sersic profile at the rays' source positions is the rendered source."""
    made = simulator("substructure", supersampling=rays)
    model = made.macro_model()
    scene = made.scene(0, "test", torch.arange(4))
    x, y = model.traced({name: scene[name] for name in model.traced_by & model.bounds.keys()})
    assert x.shape == y.shape == (4, 40 * rays, 40 * rays)
    zero = torch.zeros(4)
    shape = {"R_sersic": "source_radius", "n_sersic": "source_n", "e1": "source_e1", "e2": "source_e2"}
    light = sersic(x, y, **{key: scene[name] for key, name in shape.items()}, center_x=zero, center_y=zero)
    expected = model.surface("source", {name: scene[name] for name in model.parts["source"] & model.bounds.keys()})
    torch.testing.assert_close(avg_pool2d(light, rays), expected, rtol=1e-3, atol=1e-4)
    assert model.source_radii == (0.5, 0.5)


def test_fits_what_differs_from_lens_to_lens() -> None:
    model = simulator("deeplense-a").macro_model()
    assert set(model.bounds) == {
        "theta_E", "gamma1", "gamma2", "source_x", "source_y", "source_e1", "source_e2", "light_e1", "light_e2",
    }  # fmt: skip
    assert model.bounds["gamma1"] == (-0.3, 0.3)
    assert model.bounds["light_e2"] == pytest.approx((-1 / 3, 1 / 3))
    assert "source_radius" in simulator("deeplense-b").macro_model().bounds


def test_all_draws_lie_within_the_bounds() -> None:
    made = simulator("substructure", theta_E="uniform(1, 1.4)", lens_q="uniform(0.6, 0.9)", center_x="normal(0, 0.1)")
    scene = made.scene(0, "test", torch.arange(2000))
    for name, (low, high) in made.macro_model().bounds.items():
        assert low <= scene[name].min(), name
        assert scene[name].max() <= high, name


def test_what_the_simulator_fixes_can_be_freed() -> None:
    model = simulator("deeplense-a").macro_model(free=("source_n", "e1", "theta_E"))
    assert model.bounds["source_n"] == pytest.approx((0.75, 2.25))
    assert model.bounds["theta_E"] == pytest.approx((0.6, 1.8))
    assert model.bounds["e1"] == pytest.approx((-0.2, 0.2))


def test_a_misspelt_parameter_is_refused() -> None:
    with pytest.raises(UsageError, match="unknown parameter 'source_nn' of the macro model; did you mean source_n"):
        simulator().macro_model(free=("source_nn",))


@pytest.mark.slow
@pytest.mark.parametrize("background", ["0", "0.02"])
def test_the_variance_is_that_of_the_simulators_noise(background: str) -> None:
    """Compare with many exposures of one lens, in units of the brightest pixel's mean."""
    made = simulator("deeplense-a", snr="20", background_rms=background)
    assert isinstance(made, Substructure)
    model = made.macro_model()
    assert model.noise_is_known
    lens = torch.zeros(4000, dtype=torch.long)
    scene = made.scene(0, "test", lens, torch.arange(4000), shared=("lens", "substructure", "source", "lens_light"))
    clean = made.clean(made.scene(0, "test", lens[:1]))
    counts = made.counts(clean.expand(4000, -1, -1), scene)
    brightest = 1 / (20**-2 - float(background) ** 2)
    measured = (counts / brightest).var(0)
    expected = model.variance(clean / clean.max())[0]
    bright = clean[0] > 0.02 * clean.max()
    ratio = measured[bright] / expected[bright]
    # A variance of 4,000 numbers has a scatter of 2.2 %; the mean over many pixels has less.
    assert ratio.mean().item() == pytest.approx(1, abs=0.01)
    assert ratio.std().item() < 2 * math.sqrt(2 / 4000)


def test_noise_that_differs_from_image_to_image_is_not_known() -> None:
    assert not simulator("deeplense-b", snr="uniform(10, 30)").macro_model().noise_is_known


@pytest.mark.parametrize("draws", ["once", "twice"])
def test_the_variance_of_models_i_to_iii_is_typical(draws: str) -> None:
    """The variance is right within a factor of 2.

    The peak of the arc is assumed to be as bright as the source's centre.
    """
    made = simulator("deeplense-1", noise=draws, exposure="2000", theta_E="1.2")
    model = made.macro_model()
    assert not model.noise_is_known
    lens = torch.zeros(500, dtype=torch.long)
    scene = made.scene(0, "test", lens, torch.arange(500), shared=("lens", "substructure", "source", "lens_light"))
    clean = made.clean(scene)[:1]
    measured = made.observe(clean.expand(500, -1, -1), scene).var(0) / (2000 * 0.1**2) ** 2
    bright = clean[0] > 0.3 * clean.max()
    assert 0.5 < (model.variance(clean)[0] / measured)[bright].median().item() < 2


def test_images_of_models_ii_and_iii_without_noise_are_judged_by_that_of_once() -> None:
    released, meant = (simulator("deeplense-2", as_released=value).macro_model() for value in (True, False))
    assert released.noise_is_known
    assert not meant.noise_is_known
    light = torch.rand(2, 40, 40)
    torch.testing.assert_close(released.variance(light), meant.variance(light))
