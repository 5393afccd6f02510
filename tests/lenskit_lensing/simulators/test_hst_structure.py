"""Simulator `hst` with structured lens light, several depths, distant sources."""

from __future__ import annotations

import pytest
import torch

from lenskit.config import Config
from lenskit.errors import UsageError
from lenskit.layers import read_recipe
from lenskit.plugin import KeyedGenerator, Scene
from lenskit_lensing.coolest import from_scene
from lenskit_lensing.instruments.instrument import load_instrument
from lenskit_lensing.instruments.noise import noise_sigma
from lenskit_lensing.light import surface_brightness
from lenskit_lensing.simulators.hst import HST, normalised

torch.set_num_threads(1)
pytestmark = pytest.mark.filterwarnings("ignore:`axes` should not be `None`:DeprecationWarning:lenstronomy")

SOURCES = {"wide_fraction": 0.5}
DISCS = {"disc_fraction": 0.7, "disc_flux_ratio": "uniform(0.5, 2)"}
LIGHT = {"light_radius_unit": "arcsec", "light_radius": "uniform(1, 4)", "light_q": "uniform(0.6, 0.9)"}
ISOPHOTES = {"light_twist": "normal(0, 10)", "light_m3": "normal(0, 0.01)", "light_m4": "normal(0, 0.02)"}
PLACE = {"source_dx", "source_dy", "source_x", "source_y", "source_magnification", "companion_x", "companion_y"}
DEPTHS = {"noise": "instrument", "exposure_time": "choice(440, 2250)"}


def to_double(scene: Scene) -> Scene:
    return {name: values.double() if values.is_floating_point() else values for name, values in scene.items()}


def r_squared(features: torch.Tensor, target: torch.Tensor) -> float:
    """R2 of a linear regression, adjusted for the number of features."""
    design = torch.cat([features, torch.ones(len(features), 1, dtype=features.dtype)], dim=1)
    residual = target - design @ torch.linalg.lstsq(design, target[:, None]).solution[:, 0]
    left = residual.var(correction=features.shape[1] + 1) / target.var()
    return float(1 - left)


def light_tells_theta_E(simulator: HST) -> float:
    """R2 of theta_E from parameters of the lens light.

    Features are the parameters, their squares and products.
    """
    scene, index = Scene(), torch.arange(3000)
    for group in ("lens", "lens_light"):
        rng = KeyedGenerator(0, "train", group, index, torch.zeros_like(index), torch.float64)
        scene |= simulator.draw(group, rng, scene)
    names = ("light_R_sersic", "light_n", "light_e1", "light_e2", "light_q", "light_magnitude", "disc_flux_ratio")
    light = torch.stack([scene[name] for name in names if name in scene], dim=1)
    light = (light - light.mean(0)) / light.std(0)
    products = torch.stack([light[:, i] * light[:, j] for i in range(light.shape[1]) for j in range(i + 1)], dim=1)
    return r_squared(torch.cat([light, products], dim=1), scene["theta_E"])


def test_what_is_off_changes_no_draw_and_what_is_on_no_other() -> None:
    usual = HST(pixels=32).scene(5, "train", torch.arange(7))
    assert not {name for name in usual if name.startswith("disc") or name in ("light_q", "light_twist", "wide")}
    changed = {
        "light": (LIGHT, {"light_radius", "light_R_sersic", "light_e1", "light_e2"}),
        "discs": (DISCS, set()),
        "isophotes": (ISOPHOTES, set()),
        "sources": (SOURCES, PLACE),
    }
    for options, others in changed.values():
        scene = HST(pixels=32, **options).scene(5, "train", torch.arange(7))
        assert {name for name, values in usual.items() if not torch.equal(values, scene[name])} == others


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-4), (torch.float64, 1e-8)])
def test_renderers_agree_on_bulges_with_discs(dtype: torch.dtype, tolerance: float) -> None:
    options = {"pixels": 60} | LIGHT | DISCS
    fast, reference = HST(**options), HST(**options, renderer="lenstronomy")
    scene = fast.scene(4, "train", torch.arange(8), dtype=dtype)
    assert 0 < int((scene["disc_flux_ratio"] > 0).sum()) < 8
    ours, theirs = fast.renderer.lens_light(scene), reference.renderer.lens_light(to_double(scene))
    assert (normalised(ours.double()) - normalised(theirs)).abs().max() <= tolerance


def test_coolest_has_the_disc() -> None:
    simulator = HST(pixels=31, **DISCS)
    scene = simulator.scene(0, "train", torch.arange(6), dtype=torch.float64)
    row = int(scene["disc_flux_ratio"].argmax())
    system = from_scene(scene, row, pixels=31, pixel_scale=0.05)
    axis = (torch.arange(31, dtype=torch.float64) - 15) * 0.05
    found = surface_brightness(axis[None, :], axis[:, None], system.lens_light)[0]
    expected = simulator.renderer.lens_light(scene)[row]
    outside = torch.hypot(axis[None, :] - scene["light_x"][row], axis[:, None] - scene["light_y"][row]) > 0.3
    torch.testing.assert_close(found[outside], expected[outside])
    twisted = HST(pixels=31, light_twist=5).scene(0, "train", torch.arange(1))
    with pytest.raises(UsageError, match="scene 0 has twisted or boxy isophotes"):
        from_scene(twisted, pixels=31, pixel_scale=0.05)


def test_faint_amplitudes_give_nearly_the_plain_image_and_larger_ones_another() -> None:
    plain = HST(pixels=40)
    scene = plain.scene(0, "train", torch.arange(3), dtype=torch.float64)
    for size, near in ((1e-7, True), (0.05, False)):
        structured = HST(pixels=40, light_m3=size, light_m4=size, light_twist=100 * size)
        other = structured.scene(0, "train", torch.arange(3), dtype=torch.float64)
        assert torch.allclose(plain.render(scene), structured.render(other), rtol=0, atol=1e-6) == near


def test_all_the_light_has_its_magnitude() -> None:
    """The electrons per second of a disc galaxy add up to its magnitude.

    The frame holds nearly all of the light.
    """
    simulator = HST(
        pixels=401, noise="instrument", light_radius_unit="arcsec", light_radius=0.5, light_n=1, light_magnitude=18,
        disc_fraction=1.0, disc_flux_ratio=2, disc_radius=2, e1=0, e2=0, center_x=0, center_y=0,
    )  # fmt: skip
    scene = simulator.scene(0, "train", torch.arange(2), dtype=torch.float64)
    light = simulator.renderer.lens_light(scene)
    electrons = light.sum((1, 2)) * simulator._electrons(scene)[:, 0, 0]
    expected = float(simulator.band.rate(18))
    assert electrons.tolist() == pytest.approx([expected] * 2, rel=0.01)


@pytest.mark.parametrize("instrument", ["hst-acs-f814w", "euclid-vis"])
def test_a_depth_that_is_the_instruments_changes_nothing(instrument: str) -> None:
    band = load_instrument(instrument).band()
    exposure = torch.tensor([band.total_exposure], dtype=torch.float64)
    assert float(band.background_sigma_after(exposure)) == pytest.approx(band.background_sigma, rel=1e-12)
    image = torch.linspace(-1, 50, 30, dtype=torch.float64)
    torch.testing.assert_close(noise_sigma(image, band, exposure), noise_sigma(image, band), rtol=1e-12, atol=0)


def test_noise_is_that_of_each_depth() -> None:
    """The noise is sigma^2 = image / t + background^2.

    The background of sky alone falls as the square root of the exposure time t.
    """
    simulator = HST(pixels=32, **DEPTHS)
    assert "exposure_time" in {parameter.name for parameter in simulator.parameters}
    scene = simulator.scene(0, "train", torch.arange(40), dtype=torch.float64)
    exposure = scene["exposure_time"][:, None, None]
    assert set(exposure.flatten().tolist()) == {440.0, 2250.0}
    bright = torch.full((40, 32, 32), 7.0, dtype=torch.float64)
    noise = simulator.exposure.observe(bright, scene) - bright
    expected = (7 / exposure + 0.01**2 * 2250 / exposure).sqrt() * scene["noise"]
    torch.testing.assert_close(noise, expected)


def test_distant_sources_lie_farther_out_and_are_magnified_enough() -> None:
    options = {"pixels": 110, "theta_E": "uniform(0.8, 1.6)", "min_magnification": 3.0, "wide_min_magnification": 1.5}
    everywhere = HST(**options, wide_fraction=1.0).scene(0, "train", torch.arange(300))
    usual = HST(**options).scene(0, "train", torch.arange(300))
    reach = torch.maximum(everywhere["source_dx"].abs(), everywhere["source_dy"].abs())
    assert 0.35 < float(reach.max()) <= 0.7
    enough = everywhere["source_magnification"] >= 1.5
    assert float(enough.double().mean()) > 0.97
    assert float((everywhere["source_magnification"] < 3).double().mean()) > 0.1
    half = HST(**options, wide_fraction=0.5).scene(0, "train", torch.arange(300))
    is_usual, is_wide = half["source_dx"] == usual["source_dx"], half["source_dx"] == everywhere["source_dx"]
    assert bool((is_usual | is_wide).all())
    assert float(is_wide.double().mean()) == pytest.approx(0.5, abs=0.12)


@pytest.mark.slow
@pytest.mark.parametrize("recipe", ["hst-lens", "quickstart"])
def test_these_recipes_have_no_shortcut(recipe: str) -> None:
    simulator = Config.resolve(read_recipe(recipe), {"simulator": {"pixels": 16}}).build("simulator")
    assert light_tells_theta_E(simulator) < 0.02


def test_the_default_has_a_shortcut() -> None:
    assert light_tells_theta_E(HST(pixels=16)) > 0.1


def test_what_is_recorded_has_its_unit() -> None:
    simulator = HST(pixels=32, **LIGHT, **DISCS, **ISOPHOTES, **DEPTHS)
    units = {parameter.name: parameter.unit for parameter in simulator.parameters}
    expected = {"light_radius": "arcsec", "light_q": "", "light_angle": "deg", "light_twist": "deg", "light_m3": "",
                "light_m4": "", "disc_flux_ratio": "", "disc_q": "", "exposure_time": "s"}  # fmt: skip
    assert expected.items() <= units.items()
    scene = simulator.scene(0, "train", torch.arange(3))
    assert all(scene[name].shape == (3,) for name in units)
    assert simulator.render(scene).isfinite().all()
    usual = {parameter.name: parameter.unit for parameter in HST(pixels=32).parameters}
    assert usual["light_radius"] == ""
    assert not (expected.keys() - {"light_radius"}) & usual.keys()


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"light_q": 1.1}, "option light_q: .* it must be above 0.02 and at most 1"),
        ({"light_m3": 0.5}, "option light_m3: .* between -0.3 and 0.3"),
        ({"disc_thickness": 0}, "option disc_thickness"),
        ({"exposure_time": 100}, "option exposure_time: white noise has no exposure time; use noise='instrument'"),
        ({"noise": "instrument", "exposure_time": 0}, "option exposure_time: .* 1e.09 s"),
        (
            {"renderer": "lenstronomy", "light_twist": 3},
            "option renderer: lenstronomy has no twisted or boxy isophotes",
        ),
    ],
)
def test_wrong_options_are_one_line(options: dict[str, object], complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint) as error:
        HST(**options)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("options", "needed"),
    [
        (LIGHT, "simulator.light_radius_unit=theta_E"),
        (DISCS, "simulator.disc_fraction=0"),
        (ISOPHOTES, "simulator.light_twist=0"),
        ({"light_q": 0.8}, "remove simulator.light_q"),
    ],
)
def test_the_macro_model_says_what_it_cannot_describe(options: dict[str, object], needed: str) -> None:
    simulator = HST(pixels=32, instrument="euclid-vis", merger_fraction=0.0, **options)
    with pytest.raises(UsageError, match=needed):
        simulator.macro_model()
