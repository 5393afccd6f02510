"""Source galaxies: light and positions."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from lenskit.plugin import KeyedGenerator
from lenskit_lensing.mass.power_law import TOLERANCE, epl_terms
from lenskit_lensing.render.torch_renderer import axis, source_plane
from lenskit_lensing.simulators.hst import HST
from lenskit_lensing.sources.population import CANDIDATES, Rays

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def analytic() -> HST:
    return HST()


@pytest.fixture(scope="module")
def real(real_data: Path) -> HST:
    """Real galaxies with wider cuts than the paper's, which few of the sample pass."""
    return HST(cosmos=str(real_data / "cosmos"), cosmos_min_pixels=40, cosmos_max_noise=0.2)


def source_flux(simulator: HST, scene: dict[str, torch.Tensor], lensed: bool) -> torch.Tensor:
    """Flux within the frame, (n,), from a fine grid."""
    grid = axis(440, 5.5 / 440, scene["theta_E"])
    n = len(scene["theta_E"])
    if lensed:
        x, y = source_plane(grid[None, :], grid[:, None], scene, epl_terms(0.71, TOLERANCE[grid.dtype]))
    else:
        x, y = (part.expand(n, -1, -1) for part in torch.meshgrid(grid, grid, indexing="xy"))
    return simulator.renderer._source(x, y, scene).sum((1, 2)) * (5.5 / 440) ** 2


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["analytic", "real"])
def test_flux_of_a_source_is_what_its_entries_say(kind: str, request: pytest.FixtureRequest) -> None:
    simulator: HST = request.getfixturevalue(kind)
    scene = simulator.scene(1, "train", torch.arange(24))
    expected = scene["source_flux"] + scene["companion_flux"]
    # Light outside the frame and coarse sampling of the smallest cores cost a few percent.
    assert torch.allclose(source_flux(simulator, scene, lensed=False), expected, rtol=0.06)
    assert torch.equal(scene["source_flux"], torch.ones(24))


@pytest.mark.slow
def test_magnification_is_near_that_of_the_rendered_source(analytic: HST) -> None:
    """The estimate is for a Gaussian.

    Galaxies with wings are magnified less, by 8 % on average.
    """
    scene = analytic.scene(2, "train", torch.arange(40))
    scene["companion_flux"] = torch.zeros(40)
    actual = source_flux(analytic, scene, lensed=True) / source_flux(analytic, scene, lensed=False)
    ratio = scene["source_magnification"] / actual
    assert 0 < float(ratio.log().mean()) < 0.12
    assert float(ratio.log().std()) < 0.12


def test_positions_are_drawn_again_where_little_is_magnified() -> None:
    far = {"source_dx": "uniform(-1, 1)", "source_dy": "uniform(-1, 1)"}
    index = torch.arange(300)
    any_place = HST(**far, min_magnification=0).scene(0, "train", index)
    magnified = HST(**far).scene(0, "train", index)
    low = any_place["source_magnification"] < 3
    assert 0.2 < low.float().mean() < 0.8
    assert (magnified["source_magnification"] >= 3).float().mean() > 0.99
    kept = ~low
    assert torch.equal(any_place["source_x"][kept], magnified["source_x"][kept])
    assert (any_place["source_x"][low] != magnified["source_x"][low]).all()


@pytest.mark.parametrize("threshold", [3.0, 7.5, 1e6])
def test_positions_are_the_same_where_nothing_waits_for_the_host(threshold: float) -> None:
    """Accelerators try all candidates of all scenes."""
    simulator = HST(min_magnification=threshold, source_dx="uniform(-1, 1)")
    scene = simulator.scene(5, "train", torch.arange(200))
    rng = KeyedGenerator(5, "train", "source", torch.arange(200), torch.zeros(200, dtype=torch.int64))
    sources, radius = simulator.sources, scene["source_half_light_radius"]
    rays = Rays.through(scene, sources.frame, sources.ellipticity)
    dx, dy = (rng.sample(name, sources.priors[name], CANDIDATES)[:, 0] for name in ("source_dx", "source_dy"))
    dx, dy, magnification = sources._best(rng, rays, dx, dy, rays.magnification(dx, dy, radius), radius)
    assert torch.equal(dx, scene["source_dx"])
    assert torch.equal(dy, scene["source_dy"])
    assert torch.equal(magnification.float(), scene["source_magnification"])


def test_the_first_good_candidate_is_taken_or_else_the_best() -> None:
    simulator = HST(min_magnification=8.0, source_dx="uniform(-1, 1)")
    scene = simulator.scene(5, "train", torch.arange(60))
    rng = KeyedGenerator(5, "train", "source", torch.arange(60), torch.zeros(60, dtype=torch.int64))
    sources, radius = simulator.sources, scene["source_half_light_radius"]
    rays = Rays.through(scene, sources.frame, sources.ellipticity)
    dx, dy = (rng.sample(name, sources.priors[name], CANDIDATES) for name in ("source_dx", "source_dy"))
    each = torch.stack([rays.magnification(dx[:, k], dy[:, k], radius) for k in range(CANDIDATES)], dim=1)
    for row, magnifications in enumerate(each.tolist()):
        good = [k for k, value in enumerate(magnifications) if value >= 8]
        taken = good[0] if good else max(range(CANDIDATES), key=magnifications.__getitem__)
        assert scene["source_dx"][row] == dx[row, taken]
    assert 0.1 < (each.amax(1) < 8).double().mean() + (each[:, 0] < 8).double().mean() < 1.5


@pytest.mark.slow
@pytest.mark.parametrize("radius", [0.1, 0.4])
def test_magnifications_are_those_of_many_rays(analytic: HST, radius: float) -> None:
    """Compare magnifications of round Gaussians with an even grid of rays.

    The grid is as wide as the circles about the frame.
    """
    scene = analytic.scene(3, "train", torch.arange(24), dtype=torch.float64)
    radii, reach = torch.full((24,), radius, dtype=torch.float64), 5.5 / 2**0.5
    rays = Rays.through(scene, 5.5, 0.71)
    estimate = rays.magnification(scene["source_dx"], scene["source_dy"], radii)
    grid = axis(400, 2 * reach / 400, radii)
    x, y = grid + scene["center_x"][:, None, None], grid[:, None] + scene["center_y"][:, None, None]
    x, y = source_plane(x, y, scene, epl_terms(0.71, 1e-10))
    r2 = (x - scene["source_x"][:, None, None]) ** 2 + (y - scene["source_y"][:, None, None]) ** 2
    inside = torch.hypot(grid, grid[:, None]) < reach
    variance = radius**2 / (2 * math.log(2))
    light = ((-r2 / (2 * variance)).exp() * inside).sum((1, 2)) * (2 * reach / 400) ** 2
    ratio = estimate / (light / (2 * math.pi * variance))
    assert (ratio - 1).abs().max() < 0.05
    assert (ratio - 1).abs().mean() < 0.01


def test_a_lens_without_mass_magnifies_nothing() -> None:
    """Only shear magnifies, by 1 / |1 - gamma^2|."""
    zero = torch.zeros(3, dtype=torch.float64)
    lens = dict.fromkeys(("theta_E", "e1", "e2", "center_x", "center_y", "gamma2"), zero)
    lens |= {"gamma": torch.tensor([1.5, 2.0, 2.5]).double(), "gamma1": torch.tensor([0.0, 0.1, -0.3]).double()}
    lens["theta_E"] = torch.full((3,), 1e-9).double()
    rays = Rays.through(lens, 5.5, 0.0)
    magnification = rays.magnification(torch.tensor([0.0, 0.3, -0.5]), torch.tensor([0.0, -0.4, 0.2]), zero + 0.2)
    torch.testing.assert_close(magnification, 1 / (1 - lens["gamma1"] ** 2), rtol=0.04, atol=0)


def test_defaults_are_magnified(analytic: HST) -> None:
    magnification = analytic.scene(0, "train", torch.arange(400))["source_magnification"]
    assert (magnification >= 3).float().mean() > 0.99
    assert 5 < magnification.median() < 11


def test_positions_are_about_the_point_behind_the_lens(analytic: HST) -> None:
    scene = analytic.scene(0, "train", torch.arange(50), dtype=torch.float64)
    center = scene["center_x"][:, None, None], scene["center_y"][:, None, None]
    behind_x, behind_y = source_plane(*center, scene, terms=40)
    assert torch.allclose(scene["source_x"] - behind_x.flatten(), scene["source_dx"], atol=1e-12)
    assert torch.allclose(scene["source_y"] - behind_y.flatten(), scene["source_dy"], atol=1e-12)
    assert scene["source_dx"].abs().max() <= 0.35


@pytest.mark.slow
def test_fractions_of_mergers_and_of_real_galaxies(real: HST) -> None:
    scene = real.scene(0, "train", torch.arange(2000))
    merger = scene["companion_flux"] > 0
    assert 0.08 < merger.float().mean() < 0.12
    assert ((scene["companion_flux"] >= 0.2) & (scene["companion_flux"] <= 1))[merger].all()
    assert (scene["companion_stamp"][~merger] == -1).all()
    source, companion = scene["source_stamp"], scene["companion_stamp"][merger]
    for stamp in (source, companion):
        spread = 3.5 * (0.75 * 0.25 / len(stamp)) ** 0.5
        assert abs((stamp >= 0).float().mean() - 0.75) < spread
    assert source.unique().numel() == len(real.sources.stamps.images) + 1
    distance = torch.hypot(scene["companion_x"] - scene["source_x"], scene["companion_y"] - scene["source_y"])
    ratio = distance / scene["source_half_light_radius"]
    assert 0.499 < ratio.min() < ratio.max() < 2.501


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["analytic", "real"])
def test_half_of_the_flux_is_within_the_half_light_radius(kind: str, request: pytest.FixtureRequest) -> None:
    """Stamps have circular apertures, and profiles are round."""
    simulator: HST = request.getfixturevalue(kind)
    scene = simulator.scene(1, "train", torch.arange(30))
    zero = torch.zeros(30)
    scene |= dict.fromkeys(("source_e1", "source_e2", "source_x", "source_y", "companion_flux"), zero)
    grid = axis(440, 5.5 / 440, zero)
    x, y = (part.expand(30, -1, -1) for part in torch.meshgrid(grid, grid, indexing="xy"))
    inside = torch.hypot(x, y) < scene["source_half_light_radius"][:, None, None]
    within = (simulator.renderer._source(x, y, scene) * inside).sum((1, 2)) * (5.5 / 440) ** 2
    assert torch.allclose(within, torch.full((30,), 0.5), atol=0.03)


def test_only_profiles_where_no_real_galaxies_are_given(analytic: HST) -> None:
    scene = analytic.scene(0, "train", torch.arange(50))
    assert (scene["source_stamp"] == -1).all()
    assert (scene["companion_stamp"] == -1).all()
