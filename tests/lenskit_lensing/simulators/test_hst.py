"""Simulator `hst`: definitions, scenes, and comparison of both renderers."""

from __future__ import annotations

import logging
from itertools import product
from pathlib import Path

import pytest
import torch

from lenskit.plugin import Scene
from lenskit_lensing.simulators.hst import HST, normalised

torch.set_num_threads(1)
pytestmark = pytest.mark.filterwarnings("ignore:`axes` should not be `None`:DeprecationWarning:lenstronomy")

DRAWN = 2000
"""Scenes to look at distributions in."""

LENS = ("theta_E", "gamma", "e1", "e2", "center_x", "center_y", "gamma1", "gamma2")


@pytest.fixture(scope="module")
def simulator() -> HST:
    return HST()


@pytest.fixture(scope="module")
def many() -> Scene:
    """Many scenes of few pixels, so that there is little noise to sample."""
    return HST(pixels=16).scene(0, "train", torch.arange(DRAWN))


def noise_free(scene: Scene) -> Scene:
    return scene | {"log_noise": torch.full_like(scene["log_noise"], -torch.inf)}


def to_double(scene: Scene) -> Scene:
    return {name: values.double() if values.is_floating_point() else values for name, values in scene.items()}


def with_corners(scene: Scene) -> Scene:
    """Move the first lenses to the corners of the prior in slope and ellipticity.

    The corners have |e| = 0.71.
    """
    corners = torch.tensor(list(product((1.5, 2.5), (-0.5, 0.5), (-0.5, 0.5))), dtype=scene["e1"].dtype)
    for name, values in zip(("gamma", "e1", "e2"), corners.T, strict=True):
        scene[name][: len(corners)] = values
    return scene


def assert_agree(fast: HST, reference: HST, scene: Scene, tolerance: float) -> None:
    """Compare arc, lens light and noise-free image, relative to the peak of each."""
    exact = to_double(scene)
    for ours, theirs in zip(fast.renderer(scene), reference.renderer(exact), strict=True):
        assert (normalised(ours.double()) - normalised(theirs)).abs().max() <= tolerance
    images = fast.render(noise_free(scene)).double(), reference.render(noise_free(exact))
    assert (images[0] - images[1]).abs().max() <= tolerance


@pytest.mark.slow
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-4), (torch.float64, 1e-8)])
def test_renderers_agree_over_the_prior(simulator: HST, dtype: torch.dtype, tolerance: float) -> None:
    scene = with_corners(simulator.scene(4, "train", torch.arange(24), dtype=dtype))
    assert (scene["companion_flux"] > 0).any()
    assert_agree(simulator, HST(renderer="lenstronomy"), scene, tolerance)


@pytest.mark.slow
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-4), (torch.float64, 1e-8)])
def test_renderers_agree_on_real_galaxies(real_data: Path, dtype: torch.dtype, tolerance: float) -> None:
    options = {"cosmos": str(real_data / "cosmos"), "merger_fraction": 0.5}
    fast, reference = HST(**options), HST(**options, renderer="lenstronomy")
    scene = with_corners(fast.scene(4, "train", torch.arange(20), dtype=dtype))
    merger = scene["companion_flux"] > 0
    for is_stamp in (scene["source_stamp"] >= 0, (scene["companion_stamp"] >= 0) & merger):
        assert is_stamp.any()
        assert not is_stamp.all()
    assert_agree(fast, reference, scene, tolerance)


def test_renderers_agree_on_a_supersampled_small_frame() -> None:
    """The frame is also smaller than its PSF."""
    options = {"pixels": 32, "pixel_scale": 0.1, "supersampling": 3}
    fast, reference = HST(**options), HST(**options, renderer="lenstronomy")
    assert_agree(fast, reference, fast.scene(0, "train", torch.arange(4), dtype=torch.float64), 1e-8)


@pytest.mark.slow
def test_supersampling_brings_the_arc_closer_to_its_integral(simulator: HST) -> None:
    scene = simulator.scene(0, "train", torch.arange(12))
    one, two, six = (normalised(HST(supersampling=k).renderer(scene)[0]) for k in (1, 2, 6))
    errors_one, errors_two = ((image - six).abs().amax((1, 2)) for image in (one, two))
    assert (errors_two / errors_one).median() < 0.4


def test_image_is_what_the_options_say(simulator: HST) -> None:
    """Check the maximum of one, light over arc, and noise rms over the maximum.

    All are measured after the PSF.
    """
    scene = simulator.scene(0, "train", torch.arange(16))
    quiet = noise_free(scene)
    image, arc, light = (simulator.render(quiet, without) for without in ((), {"lens_light"}, {"source"}))
    assert image.shape == (16, *simulator.image_shape)
    for part in (image, arc, light):
        assert torch.allclose(part.amax((1, 2, 3)), torch.ones(16))
    ratio = 10 ** scene["log_light_to_arc"][:, None, None, None]
    together = arc + ratio * light
    assert torch.allclose(image, together / together.amax((1, 2, 3), keepdim=True), atol=1e-6)

    noisy = simulator.render(scene)
    assert torch.allclose(noisy.amax((1, 2, 3)), torch.ones(16))
    peak = (image + 10 ** scene["log_noise"][:, None, None, None] * scene["noise"][:, None]).amax((1, 2, 3))
    rms = (noisy * peak[:, None, None, None] - image).flatten(1).std(1)
    assert torch.allclose(rms, 10 ** scene["log_noise"], rtol=0.05)


def test_noise_keeps_its_level_where_light_is_left_out(simulator: HST) -> None:
    scene = simulator.scene(0, "train", torch.arange(8))
    for without in ({"source"}, {"lens_light"}):
        image, quiet = simulator.render(scene, without), simulator.render(noise_free(scene), without)
        rms = (image - quiet).flatten(1).std(1)
        assert torch.allclose(rms, 10 ** scene["log_noise"], rtol=0.06)
    dark = simulator.render(scene, {"source", "lens_light"})
    assert torch.allclose(dark.amax((1, 2, 3)), torch.ones(8))


def test_draws_do_not_depend_on_the_batch(simulator: HST) -> None:
    together = simulator.scene(7, "train", torch.arange(40), view=1, shared={"lens"})
    order = torch.tensor([31, 4, 17])
    some = simulator.scene(7, "train", order, view=1, shared={"lens"})
    for name, values in together.items():
        assert torch.equal(values[order], some[name]), name
    images = simulator.render(together)[order], simulator.render(some)
    assert (images[0] - images[1]).abs().max() < 1e-5


def test_draws_do_not_depend_on_the_type(simulator: HST) -> None:
    single, double = (simulator.scene(7, "train", torch.arange(64), dtype=d) for d in (torch.float32, torch.float64))
    for name, values in double.items():
        if values.is_floating_point():
            assert torch.allclose(single[name].double(), values, rtol=1e-4, atol=1e-6), name
        else:
            assert torch.equal(single[name], values), name
    assert simulator.render(double).dtype == torch.float64


def test_lens_is_shared_and_the_rest_drawn_anew(simulator: HST) -> None:
    first, second = (simulator.scene(7, "train", torch.arange(20), view, shared={"lens"}) for view in (0, 1))
    for name in LENS:
        assert torch.equal(first[name], second[name])
    for name in ("source_x", "source_half_light_radius", "light_n", "light_e1", "log_noise", "noise"):
        assert (first[name] != second[name]).float().mean() > 0.9


def test_priors_are_respected(many: Scene) -> None:
    bounds = {
        "theta_E": (0.8, 1.8),
        "gamma": (1.5, 2.5),
        "e1": (-0.5, 0.5),
        "e2": (-0.5, 0.5),
        "center_x": (-0.15, 0.15),
        "center_y": (-0.15, 0.15),
        "gamma1": (-0.12, 0.12),
        "gamma2": (-0.12, 0.12),
        "source_half_light_radius": (0.1, 0.4),
        "light_n": (3, 8),
        "light_radius": (0.5, 2.6),
        "log_light_to_arc": (-0.1, 2),
        "log_noise": (-3.25, -2.25),
        "psf": (0, 22),
    }
    for name, (low, high) in bounds.items():
        values = many[name].double()
        margin = 0.01 * (high - low)
        assert low - 1e-6 <= values.min() < low + margin, name
        assert high - margin < values.max() <= high + 1e-6, name
        assert abs(values.mean() - (low + high) / 2) < 5 * (high - low) / (12 * len(values)) ** 0.5, name


def test_lens_light_follows_the_mass(many: Scene) -> None:
    """The scatter has a standard deviation of 2.5 % of each prior's width."""
    expected = {"light_e1": ("e1", 0.025), "light_e2": ("e2", 0.025), "light_x": ("center_x", 0.0075)}
    for name, (of_mass, std) in expected.items():
        deviation = many[name] - many[of_mass]
        assert float(deviation.std()) == pytest.approx(std, rel=0.07)
        assert abs(float(deviation.mean())) < 4 * std / DRAWN**0.5
    assert torch.allclose(many["light_R_sersic"], many["light_radius"] * many["theta_E"])


def test_lens_light_stays_possible_whatever_its_deviation() -> None:
    simulator = HST(e1="uniform(-0.65, 0.65)", e2="uniform(-0.65, 0.65)", light_deviation=0.5, center_x="normal(0, 1)")
    scene = simulator.scene(0, "train", torch.arange(12))
    assert torch.hypot(scene["light_e1"], scene["light_e2"]).max() < 0.951
    assert simulator.render(scene).isfinite().all()


def test_recorded_parameters_are_in_the_scene(simulator: HST) -> None:
    scene = simulator.scene(0, "train", torch.arange(5))
    assert {p.name for p in simulator.parameters[:8]} == set(LENS)
    assert {p.name for p in simulator.parameters if p.headline} == {"theta_E", "gamma", "gamma1", "gamma2"}
    assert {p.group for p in simulator.parameters} == set(simulator.groups)
    for parameter in simulator.parameters:
        assert scene[parameter.name].shape == (5,)
        if parameter.classes:
            assert scene[parameter.name].max() < len(parameter.classes)


def test_real_galaxies_have_no_recorded_index(real_data: Path) -> None:
    real = HST(cosmos=str(real_data / "cosmos"))
    assert "source_n" not in {p.name for p in real.parameters}


def test_missing_galaxies_are_a_remark_and_no_message(caplog: pytest.LogCaptureFixture) -> None:
    """Every evaluation builds the simulator; only creating a run prints the remark."""
    with caplog.at_level(logging.INFO, logger="lenskit"):
        simulator = HST()
    assert simulator.remarks == ("COSMOS is not configured (options cosmos, stamps); using core-Sersic sources",)
    assert not caplog.records


def test_an_empty_batch_is_one(simulator: HST) -> None:
    assert simulator.render(simulator.scene(0, "train", torch.arange(0))).shape == (0, 1, 110, 110)
