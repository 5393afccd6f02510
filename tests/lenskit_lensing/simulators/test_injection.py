"""Simulator `injection`: light added to cutouts, and galaxies that show a lens."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from lenskit.plugin import Scene, UsageError
from lenskit.toolbox import smooth_light
from lenskit_lensing.scenes.cutouts import axis_ratio
from lenskit_lensing.simulators.hst import HST, normalised
from lenskit_lensing.simulators.injection import Injection

torch.set_num_threads(1)

INDEX = torch.arange(24)
THETA_E = "uniform(0.4, 0.8)"


@pytest.fixture(scope="module")
def folder(draw_galaxies: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(draw_galaxies(tmp_path_factory.mktemp("galaxies"), unit=30.0))


@pytest.fixture(scope="module")
def simulator(folder: str) -> Injection:
    return Injection(galaxies=folder, theta_E=THETA_E)


@pytest.fixture(scope="module")
def pair(simulator: Injection) -> list[Scene]:
    """Two views of each lens."""
    return [simulator.scene(0, "train", INDEX, view, shared={"lens"}) for view in (0, 1)]


def added(simulator: Injection, scene: Scene) -> torch.Tensor:
    return (simulator.render(scene) - simulator.render(scene, ["source"]))[:, 0]


def ellipticities(scene: Scene) -> torch.Tensor:
    return torch.stack([scene["e1"], scene["e2"]], 1)


def test_what_is_added_is_the_arc_of_hst(simulator: Injection, pair: list[Scene]) -> None:
    hst = HST(pixels=48, e1=0, e2="uniform(-0.6, 0.6)")
    light = hst.scene(0, "train", INDEX)
    for scene in pair:
        arc, _ = hst.renderer(light | scene | {f"light_{name}": light[f"light_{name}"] for name in ("n", "x", "y")})
        assert (normalised(added(simulator, scene)) - normalised(arc)).abs().max() < 1e-4


def test_the_arc_is_as_bright_over_the_noise_as_drawn(simulator: Injection, pair: list[Scene]) -> None:
    noise = simulator.lens_light.cutouts.noise
    for scene in pair:
        ratio = added(simulator, scene).amax((1, 2)) / noise[scene["lens_galaxy"]]
        assert torch.allclose(ratio.log10(), scene["log_arc_to_noise"].double(), atol=1e-3)


def test_the_unit_of_the_cutouts_does_not_matter(draw_galaxies: Callable[..., Path], tmp_path: Path) -> None:
    one, other = (
        Injection(galaxies=str(draw_galaxies(tmp_path / str(unit), 4, unit=unit)), theta_E=THETA_E)
        for unit in (1.0, 1e6)
    )
    images = [each.render(each.scene(0, "train", INDEX)) for each in (one, other)]
    assert torch.allclose(*images, atol=1e-3)


def test_the_first_view_is_the_cutout_as_it_is(simulator: Injection, pair: list[Scene]) -> None:
    cutouts = simulator.lens_light.cutouts
    shown = simulator.render(pair[0], ["source"])[:, 0]
    found = cutouts.images[pair[0]["lens_galaxy"]]
    assert torch.equal(shown.flatten(1).sort(1).values, found.flatten(1).sort(1).values)
    unmoved = (pair[0]["light_quarters"] == 0) & ~pair[0]["light_mirrored"]
    assert unmoved.any()
    assert torch.equal(shown[unmoved], found[unmoved])


def test_the_mass_follows_the_light(folder: str) -> None:
    """Without scatter, ellipticity, angle and centre agree in both views."""
    exact = Injection(
        galaxies=folder, axis_ratio_tolerance=0.04, center_scatter=0, ellipticity_scatter=0, angle_scatter=0
    )
    for view, tolerance in ((0, 0.02), (1, 0.06)):
        scene = exact.scene(0, "train", INDEX, view, shared={"lens"})
        light = smooth_light(exact.render(scene, ["source"])[:, 0])
        assert (light.ellipticity - ellipticities(scene)).abs().max() < tolerance
        center = torch.stack([scene["center_x"], scene["center_y"]], 1)
        assert (0.05 * light.center - center).abs().max() < 0.01


def test_the_mass_scatters_by_the_options(folder: str, simulator: Injection) -> None:
    many = torch.arange(4000)
    scene = simulator.scene(0, "train", many)
    exact = Injection(galaxies=folder, theta_E=THETA_E, center_scatter=0, ellipticity_scatter=0, angle_scatter=0)
    light = exact.scene(0, "train", many)
    assert torch.equal(scene["lens_galaxy"], light["lens_galaxy"])
    for name in ("center_x", "center_y"):
        assert (scene[name] - light[name]).std() == pytest.approx(0.02, rel=0.05)
    mass, of_light = (torch.complex(each["e1"], each["e2"]) for each in (scene, light))
    flat = of_light.abs() > 0.15  # scatter never changes the sign of these ellipticities
    off = torch.rad2deg((mass / of_light).angle() / 2)[flat]
    assert off[off.abs() < 45].std() == pytest.approx(10, rel=0.05)
    assert (mass.abs() - of_light.abs())[flat].std() == pytest.approx(0.05, rel=0.1)


def test_the_second_view_shows_the_lens_through_another_galaxy(simulator: Injection, pair: list[Scene]) -> None:
    first, second = pair
    for name in ("theta_E", "e1", "e2", "center_x", "center_y"):
        assert torch.equal(first[name], second[name])
    assert (first["lens_galaxy"] != second["lens_galaxy"]).all()
    q = axis_ratio(simulator.lens_light.cutouts.ellipticity)
    assert (q[first["lens_galaxy"]] - q[second["lens_galaxy"]]).abs().max() <= 0.05
    light = [smooth_light(simulator.render(scene, ["source"])[:, 0]) for scene in pair]
    assert (axis_ratio(light[0].ellipticity) - axis_ratio(light[1].ellipticity)).abs().max() < 0.08
    angles = [torch.atan2(*each.ellipticity.flip(1).unbind(1)) / 2 for each in light]
    apart = torch.rad2deg((angles[0] - angles[1] + torch.pi / 2).remainder(torch.pi) - torch.pi / 2).abs()
    flat = axis_ratio(light[0].ellipticity) < 0.85
    assert flat.sum() > 10
    assert apart[flat].max() < 4
    assert (light[0].center - light[1].center).abs().max() < 0.1


def test_a_lens_drawn_by_the_second_view_is_shown_by_its_own_galaxy(simulator: Injection) -> None:
    scene = simulator.scene(0, "train", INDEX, 1, shared={"source"})
    assert torch.equal(scene["lens_galaxy"], scene["first_galaxy"])
    both = simulator.scene(0, "train", INDEX, 1, shared={"lens", "lens_light"})
    assert torch.equal(both["lens_galaxy"], simulator.scene(0, "train", INDEX)["lens_galaxy"])


def test_without_a_source_nothing_tells_the_einstein_radius(folder: str, simulator: Injection) -> None:
    """Images without a source are equal to the last bit for all Einstein radii."""
    other = Injection(galaxies=folder, theta_E="uniform(0.6, 0.7)")
    for view in (0, 1):
        one, two = (each.scene(0, "train", INDEX, view, shared={"lens"}) for each in (simulator, other))
        assert not torch.equal(one["theta_E"], two["theta_E"])
        assert torch.equal(simulator.render(one, ["source"]), other.render(two, ["source"]))


def test_the_arc_has_the_noise_of_its_photons(folder: str, simulator: Injection) -> None:
    """The variance of the added noise is the arc over the exposure time.

    The arc is in electrons per second.
    """
    exposed = Injection(galaxies=folder, theta_E=THETA_E, exposure_time=500)
    scene = exposed.scene(0, "train", INDEX)
    peak = exposed.lens_light.cutouts.peak[scene["lens_galaxy"]][:, None, None]
    arc = peak * simulator.arc(scene)
    off = peak * exposed.arc(scene) - arc
    lit = arc > 0.01 * arc.amax((1, 2), keepdim=True)
    assert (off / (arc / 500).sqrt())[lit].std() == pytest.approx(1, abs=0.03)
    assert torch.equal(exposed.render(scene, ["source"]), simulator.render(scene, ["source"]))


def test_records_which_galaxy_it_is(simulator: Injection, pair: list[Scene]) -> None:
    assert [each.name for each in simulator.parameters if each.identity] == ["lens_galaxy"]
    q = axis_ratio(simulator.lens_light.cutouts.ellipticity)
    for scene in pair:
        assert torch.equal(scene["light_q"], q[scene["lens_galaxy"]].float())
    assert simulator.pixel_scale == pytest.approx(0.05)
    assert simulator.removable == {"source"}


def test_real_galaxies_as_sources(folder: str, real_data: Path) -> None:
    simulator = Injection(galaxies=folder, theta_E=THETA_E, cosmos=str(real_data / "cosmos"), cosmos_fraction=1.0)
    assert {each.name for each in simulator.parameters if each.identity} >= {"lens_galaxy", "source_stamp"}
    scene = simulator.scene(0, "train", INDEX)
    assert (scene["source_stamp"] >= 0).all()
    assert simulator.render(scene).isfinite().all()


def test_wrong_priors_are_told_as_in_hst(folder: str) -> None:
    with pytest.raises(UsageError, match="option theta_E"):
        Injection(galaxies=folder, theta_E="uniform(-1, 1)")
    with pytest.raises(UsageError, match="options theta_E and velocity_dispersion"):
        Injection(galaxies=folder, theta_E=THETA_E, velocity_dispersion="200", z_lens="0.3", z_source="1")
