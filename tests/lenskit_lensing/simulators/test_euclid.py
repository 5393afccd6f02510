"""Simulator `euclid-challenge`: scenes, images against lenstronomy, noise, labels."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from astropy.cosmology import Planck18
from lenstronomy.Cosmo.lens_cosmo import LensCosmo
from lenstronomy.LightModel.light_model import LightModel
from lenstronomy.SimulationAPI.ObservationConfig.Euclid import Euclid
from scipy import stats

from lenskit.plugin import Scene, UsageError
from lenskit_lensing.render.lenstronomy_renderer import LenstronomyRenderer
from lenskit_lensing.simulators.euclid import EuclidChallenge
from lenskit_lensing.simulators.euclid_labels import rule
from lenskit_lensing.simulators.euclid_population import rates
from lenskit_lensing.simulators.hst import HST

torch.set_num_threads(1)
pytestmark = pytest.mark.filterwarnings("ignore:`axes` should not be `None`:DeprecationWarning:lenstronomy")

CHEAP = {"supersampling": 1}
"""One ray a pixel, where it is not the arc that is looked at."""

DRAWN = 400
"""Scenes to look at distributions in."""

SHARED = ("theta_E", "e1", "source_magnitude", "source_x", "lens_magnitude", "light_R_sersic", "neighbour_x")
"""What does not depend on who looks."""


@pytest.fixture(scope="module")
def nisp() -> EuclidChallenge:
    return EuclidChallenge(task="detection")


@pytest.fixture(scope="module")
def regression() -> Scene:
    return EuclidChallenge(**CHEAP).scene(0, "train", torch.arange(DRAWN))


@pytest.fixture(scope="module")
def detection() -> Scene:
    return EuclidChallenge(task="detection", **CHEAP).scene(0, "train", torch.arange(DRAWN))


def quiet(scene: Scene) -> Scene:
    return scene | {"noise": torch.zeros_like(scene["noise"])}


@pytest.mark.slow
def test_einstein_radii_are_the_challenges(regression: Scene, detection: Scene) -> None:
    """Lognormal(ln 2.1, 0.38) from 0.5 to 5 arcsec, and log-uniform from 0.15 to 5."""
    whole = stats.lognorm(0.38, scale=2.1)
    low, high = whole.cdf([0.5, 5])
    found = regression["theta_E"].double().numpy()
    assert 0.5 <= found.min() < found.max() <= 5
    assert stats.kstest(found, lambda x: (whole.cdf(x) - low) / (high - low)).pvalue > 1e-3
    assert stats.kstest(detection["theta_E"].double().numpy(), stats.loguniform(0.15, 5).cdf).pvalue > 1e-3


def test_seventy_per_cent_are_meant_to_be_lenses(regression: Scene, detection: Scene) -> None:
    assert (regression["source_candidate"] == 1).all()
    assert stats.binomtest(int(detection["source_candidate"].sum()), DRAWN, 0.7).pvalue > 1e-3


def test_labels_follow_the_rule_and_tell_most_scenes_right(detection: Scene) -> None:
    by_rule = rule(detection["n_source_im"], detection["mag_eff"], detection["n_pix_source"])
    assert torch.equal(detection["is_lens"], by_rule.long())
    of_kind = [detection["is_lens"][detection["source_candidate"] == kind].double().mean() for kind in (0, 1)]
    assert of_kind[0] < 0.05
    assert of_kind[1] > 0.75
    absent = detection["source_flux"] == 0
    assert absent.any()
    assert (detection["n_pix_source"][absent] == 0).all()
    assert (detection["mag_eff"][absent] == 0).all()


@pytest.mark.parametrize(
    ("offset", "images", "magnification"),
    [("uniform(0.3, 0.7)", 2, lambda offset: 2 / offset), ("uniform(2, 3)", 1, lambda offset: 1 + 1 / offset)],
)
def test_magnification_behind_an_isothermal_sphere_is_the_textbooks(offset: str, images: int, magnification) -> None:
    """Check a small bright source at b theta_E.

    The magnification is 2 / b in two images within theta_E, and 1 + 1 / b in one image beyond.
    """
    simulator = EuclidChallenge(
        bands="vis", theta_E=2, gamma=2, e1=0, e2=0, center_x=0, center_y=0, gamma1=0, gamma2=0,
        source_offset_x=offset, source_offset_y=0, source_half_light_radius=0.1, source_n=1,
        source_core_radius=0, source_magnitude=17, merger_fraction=0,
    )  # fmt: skip
    scene = simulator.scene(0, "train", torch.arange(6))
    expected = magnification(scene["source_dx"].numpy() / 2)
    assert scene["mag_eff"].numpy() == pytest.approx(expected, rel=0.02)
    assert (scene["n_source_im"] == images).all()
    assert scene["is_lens"].tolist() == (expected > 1.6).tolist()


@pytest.mark.slow
@pytest.mark.parametrize("bands", ["nisp", "vis"])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-4), (torch.float64, 1e-8)])
def test_images_are_lenstronomys(bands: str, dtype: torch.dtype, tolerance: float) -> None:
    """Compare the arc, and the lens light with neighbours, in each band.

    Images are in electrons per second.
    """
    simulator = EuclidChallenge(bands=bands, task="detection", merger_fraction=0.5, supersampling=2)
    scene = quiet(simulator.scene(5, "train", torch.arange(6 if bands == "nisp" else 3), dtype=dtype))
    exact = {name: values.double() if values.is_floating_point() else values for name, values in scene.items()}
    has_source = exact["source_flux"] > 0
    arcs, rest = simulator.render(scene, {"lens_light", "field"}), simulator.render(scene, {"source"})
    light = LightModel(["SERSIC_ELLIPSE"])
    for number, band in enumerate(simulator.bands):
        reference = LenstronomyRenderer(
            pixels=band.pixels, pixel_scale=band.pixel_scale, psfs=band.psfs(), supersampling=2
        )
        one = {"amp": 1.0} | dict.fromkeys(("e1", "e2", "center_x", "center_y"), 0.0)
        for row in range(len(arcs)):
            names = ("light_R_sersic", "light_n", "light_e1", "light_e2", "light_x", "light_y")
            galaxies = [{name: exact[name][row] for name in names} | {"flux": rates(exact, "lens", [band])[row, 0]}]
            for k in range(int(exact["neighbours"][row])):
                own = (f"neighbour_{name}" for name in ("radius", "n", "e1", "e2", "x", "y"))
                of_galaxy = {name: exact[theirs][row, k] for name, theirs in zip(names, own, strict=True)}
                galaxies.append(of_galaxy | {"flux": rates(exact, "neighbour", [band])[row, 0, k]})
            expected = torch.zeros(1, 1, band.pixels, band.pixels, dtype=torch.float64)
            for galaxy in galaxies:
                shape = {"R_sersic": float(galaxy["light_R_sersic"]), "n_sersic": float(galaxy["light_n"])}
                whole = light.total_flux([one | shape])[0]
                profile = reference.lens_light({name: values[None] for name, values in galaxy.items()})
                expected += profile[:, None] * (float(galaxy["flux"]) / whole * band.pixel_scale**2)
            some = {name: values[row : row + 1] for name, values in exact.items() if name not in ("noise", "arc")}
            if not has_source[row]:
                assert arcs[row].abs().max() == 0
                some["source_flux"] = torch.ones(1, dtype=torch.float64)
            arc, _, blurred = reference(some | {"psf": torch.zeros(1, dtype=torch.int64)}, expected)
            assert (rest[row, number] - blurred[0, 0]).abs().max() <= tolerance * blurred.max()
            if has_source[row]:
                flux = rates(exact, "source", [band])[row, 0] / (some["source_flux"] + some["companion_flux"])
                arc = arc * flux  # lenstronomy has already multiplied by the area of a pixel
                assert (arcs[row, number] - arc[0]).abs().max() <= tolerance * arc.max()


def test_the_lens_is_redder_than_the_source() -> None:
    """The colour is the ratio of H to Y in the pixels."""
    simulator = EuclidChallenge()
    scene = quiet(simulator.scene(1, "train", torch.arange(40)))
    light = simulator.render(scene, {"source", "field"}).sum((2, 3))
    arc = simulator.render(scene, {"lens_light", "field"}).sum((2, 3))
    colours = [-2.5 * torch.log10(flux[:, 0] / flux[:, 2]) for flux in (light, arc)]
    assert (colours[0] < colours[1]).double().mean() > 0.9


@pytest.mark.parametrize("bands", ["nisp", "vis"])
def test_noise_is_the_instruments(bands: str) -> None:
    """An empty sky has lenstronomy's noise; light adds the noise of its photons."""
    simulator = EuclidChallenge(bands=bands, **CHEAP)
    scene = simulator.scene(2, "train", torch.arange(20))
    dark = simulator.render(scene, {"source", "lens_light", "field"})
    for number, band in enumerate(simulator.bands):
        config = Euclid(band=band.name).kwargs_single_band()
        sky = 10 ** (0.4 * (config["magnitude_zero_point"] - config["sky_brightness"])) * band.pixel_scale**2
        exposure = config["num_exposures"] * config["exposure_time"]
        expected = math.sqrt(config["num_exposures"] * config["read_noise"] ** 2 + exposure * sky) / exposure
        assert float(dark[:, number].std()) == pytest.approx(expected, rel=0.01)
        assert abs(float(dark[:, number].mean())) < 4 * expected / dark[:, number].numel() ** 0.5
    image, noisy = simulator.render(quiet(scene)), simulator.render(scene)
    band, bright = simulator.bands[0], image[:, 0] > 20 * simulator.bands[0].background_sigma
    variance = band.background_sigma**2 + image[:, 0][bright] / band.total_exposure
    chi = ((noisy - image)[:, 0][bright] / variance.sqrt()).double()
    assert len(chi) > 1000
    assert float(chi.std()) == pytest.approx(1, abs=4 / (2 * len(chi)) ** 0.5)


def test_shapes_and_parts(nisp: EuclidChallenge) -> None:
    scene = quiet(nisp.scene(0, "train", torch.arange(4)))
    assert nisp.image_shape == (3, 66, 66)
    assert [band.name for band in nisp.bands] == ["H", "J", "Y"]
    whole = nisp.render(scene)
    assert whole.shape == (4, 3, 66, 66)
    parts = sum(nisp.render(scene, nisp.removable - {group}) for group in nisp.removable)
    assert torch.allclose(whole, parts, atol=1e-4)
    assert nisp.render(nisp.scene(0, "train", torch.arange(0))).shape == (0, 3, 66, 66)


def test_a_scene_is_the_same_in_both_instruments(nisp: EuclidChallenge) -> None:
    vis = EuclidChallenge(bands="vis", task="detection", **CHEAP)
    assert vis.image_shape == (1, 200, 200)
    index = torch.tensor([3, 8])
    first, second = nisp.scene(0, "train", index), vis.scene(0, "train", index)
    for name in SHARED[:-1]:
        assert torch.equal(first[name], second[name]), name
    # The frames are 19.8 and 20 arcsec wide.
    assert torch.allclose(first["neighbour_x"] / 19.8, second["neighbour_x"] / 20)


def test_draws_and_labels_do_not_depend_on_the_batch(nisp: EuclidChallenge) -> None:
    together = nisp.scene(7, "train", torch.arange(40), view=1, shared={"lens"})
    order = torch.tensor([31, 4, 17])
    some = nisp.scene(7, "train", order, view=1, shared={"lens"})
    for name, values in together.items():
        if name in ("arc", "mag_eff"):
            peak = values.abs().max()
            assert (values[order] - some[name]).abs().max() < 1e-5 * peak, name
        else:
            assert torch.equal(values[order], some[name]), name
    images = nisp.render(together)[order], nisp.render(some)
    assert (images[0] - images[1]).abs().max() < 1e-5 * images[0].max()


def test_the_lens_is_shared_and_the_rest_drawn_anew(nisp: EuclidChallenge) -> None:
    first, second = (nisp.scene(7, "train", torch.arange(30), view, shared={"lens"}) for view in (0, 1))
    for parameter in nisp.parameters:
        if parameter.group == "lens":
            assert torch.equal(first[parameter.name], second[parameter.name])
    for name in ("source_dx", "source_J_H", "light_n", "lens_I_Y", "neighbour_n", "noise"):
        assert (first[name] != second[name]).double().mean() > 0.9, name


@pytest.mark.slow
def test_renderings_of_a_lens_are_meant_to_be_the_same() -> None:
    """Otherwise a pair is a lens and a non-lens.

    An encoder would learn to ignore the difference.
    """
    simulator = EuclidChallenge(task="detection", **CHEAP)
    first, second = (simulator.scene(7, "train", torch.arange(100), view, shared={"lens"}) for view in (0, 1))
    assert set(first["source_candidate"].tolist()) == {0, 1}
    assert torch.equal(first["source_candidate"], second["source_candidate"])
    assert torch.equal(first["source_flux"] > 0, second["source_flux"] > 0)


@pytest.mark.slow
def test_real_galaxies_are_chosen_as_in_hst(real_data: Path, tmp_path: Path) -> None:
    """Leaving out any option changes the set of galaxies or their appearance."""
    y, x = np.mgrid[-40:41, -40:41]
    np.save(tmp_path / "disc.npy", np.exp(-np.hypot(x, y) / 4) + 0.02 * np.random.default_rng(0).normal(size=x.shape))
    cosmos, stamps = {"cosmos": str(real_data / "cosmos")}, {"stamps": str(tmp_path)}
    fewer = [cosmos | {"cosmos_min_pixels": 100}, cosmos | {"cosmos_max_noise": 0.02}]
    for options in (cosmos, *fewer, stamps, stamps | {"stamps_clean": True}):
        ours, theirs = (kind(**options).sources.stamps for kind in (EuclidChallenge, HST))
        assert torch.equal(ours.half_light, theirs.half_light), options
    with pytest.raises(UsageError, match="good_stamps needs this table of the catalogue"):
        EuclidChallenge(**cosmos, cosmos_good_stamps=True)
    scene = EuclidChallenge(**stamps, stamps_clean=True, real_fraction=1.0, **CHEAP).scene(0, "train", torch.arange(4))
    assert (scene["source_stamp"] == 0).all()
    assert scene["arc"].isfinite().all()


@pytest.mark.parametrize("options", [{}, {"task": "detection", "bands": "vis"}])
def test_recorded_parameters_are_in_the_scene(options: dict) -> None:
    simulator = EuclidChallenge(**options, **CHEAP)
    scene = simulator.scene(0, "train", torch.arange(5))
    for parameter in simulator.parameters:
        assert scene[parameter.name].shape == (5,)
        assert parameter.group in simulator.groups
        if parameter.classes:
            assert set(scene[parameter.name].tolist()) <= set(range(len(parameter.classes)))
    headlines = {parameter.name for parameter in simulator.parameters if parameter.headline}
    assert headlines == ({"theta_E", "is_lens"} if options else {"theta_E"})


def test_a_population_of_isothermal_spheres() -> None:
    simulator = EuclidChallenge(
        velocity_dispersion="normal(230, 15)", z_lens="uniform(0.3, 0.6)", z_source="uniform(1, 2)", **CHEAP
    )
    scene = simulator.scene(0, "train", torch.arange(6))
    assert {"velocity_dispersion", "z_lens", "z_source"} <= {parameter.name for parameter in simulator.parameters}
    for row in range(6):
        sigma, z_lens, z_source = (float(scene[name][row]) for name in ("velocity_dispersion", "z_lens", "z_source"))
        expected = LensCosmo(z_lens, z_source, cosmo=Planck18).sis_sigma_v2theta_E(sigma)
        assert float(scene["theta_E"][row]) == pytest.approx(expected, rel=1e-5)
    assert simulator.render(scene).isfinite().all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"theta_E": "uniform(6, 7)"}, "no values between 0.5 and 5; change it, theta_E_min"),
        ({"theta_E": 2, "velocity_dispersion": 200, "z_lens": 0.3, "z_source": 1}, "set one of them, not both"),
        ({"velocity_dispersion": 200, "z_lens": "uniform(0.3, 1)", "z_source": "uniform(0.9, 2)"}, "behind all lenses"),
        ({"velocity_dispersion": 200}, "option z_lens is missing"),
        ({"instrument": "lsst"}, "has no band 'H'"),
        ({"z_lens": 25}, "between 0 and 20"),
        ({"neighbour_e1": 0.9, "neighbour_e2": 0.9}, "it must be below 1"),
    ],
)
def test_what_cannot_be_is_one_line(options: dict, message: str) -> None:
    with pytest.raises(UsageError, match=message) as raised:
        EuclidChallenge(**options)
    assert "\n" not in str(raised.value)


def test_a_camera_without_noise_figures_is_one_line(tmp_path) -> None:
    camera = tmp_path / "mine.toml"
    camera.write_text('source = "mine"\n[bands.VIS]\npixels = 64\npixel_scale = 0.1\nfwhm = 0.2\n')
    with pytest.raises(UsageError, match="band VIS lacks zero_point, exposure_time"):
        EuclidChallenge(bands="vis", instrument=str(camera))
