"""Lenses with substructure: deflection, classes, noise, masses and bad input.

The references are lenstronomy and astropy.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import scipy.stats
import torch
from astropy import constants, units
from astropy.cosmology import Planck18
from lenstronomy.Data.pixel_grid import PixelGrid
from lenstronomy.Data.psf import PSF
from lenstronomy.ImSim.image_model import ImageModel
from lenstronomy.LensModel.lens_model import LensModel
from lenstronomy.LensModel.Profiles.tnfw import TNFW
from lenstronomy.LightModel.light_model import LightModel

from lenskit.errors import UsageError
from lenskit.kinds.simulator import Scene
from lenskit_deeplense.simulators.deeplense import DeepLenseA, DeepLenseB
from lenskit_deeplense.simulators.recorded import CLASSES, FOLLOWING
from lenskit_deeplense.simulators.subhalos import Subhalos, concentration, hubble_now, power_law_quantile
from lenskit_deeplense.simulators.substructure import Substructure
from lenskit_deeplense.simulators.vortex import Vortex
from lenskit_lensing.instruments.psf import airy_psf

torch.set_num_threads(1)

FEW = torch.arange(4)
LENSTRONOMY = {"point": "POINT_MASS", "tnfw": "TNFW", "pjaffe": "PJAFFE"}


def subhalos_of(simulator: Substructure, scene: Scene, row: int) -> tuple[list[str], list[dict[str, float]]]:
    """Return the subhalos of one lens, for lenstronomy."""
    kind = simulator.kinds["spherical"]
    assert isinstance(kind, Subhalos)
    names = ("theta_E", "Rs", "r_trunc", "x", "y")
    some = {name: scene[f"subhalo_{name}"][row].double() for name in names if f"subhalo_{name}" in scene}
    some = {name: values[: int(scene["subhalos"][row])] for name, values in some.items()}
    found = {name: values.tolist() for name, values in kind.lenstronomy(some).items()}
    rows = [dict(zip(found, values, strict=True)) for values in zip(*found.values(), strict=True)]
    return [LENSTRONOMY[kind.profile]] * len(rows), rows


@pytest.mark.parametrize("profile", LENSTRONOMY)
def test_deflections_of_subhalos_are_lenstronomys(profile: str) -> None:
    simulator = Substructure(classes="spherical", subhalo_profile=profile, subhalos="choice(3, 8)")  # type: ignore[arg-type]
    scene = simulator.scene(3, "train", FEW)
    axis = (torch.arange(30, dtype=torch.float32) - 14.5) * 0.21
    ours = torch.stack(simulator.kinds["spherical"].deflection(axis[None, :], axis[:, None], scene), dim=1)
    x, y = np.meshgrid(axis.double(), axis.double())
    for row in range(len(FEW)):
        names, parameters = subhalos_of(simulator, scene, row)
        theirs = np.reshape(LensModel(names).alpha(x.ravel(), y.ravel(), parameters), (2, *x.shape))
        assert np.abs(ours[row].double().numpy() - theirs).max() < 1e-4


@pytest.mark.parametrize("profile", ["tnfw", "pjaffe"])
def test_profiles_have_the_mass_of_the_point(profile: str) -> None:
    simulator = Substructure(classes="spherical", subhalo_profile=profile, subhalos="1")  # type: ignore[arg-type]
    scene = {k: v.double() for k, v in simulator.scene(3, "train", FEW, dtype=torch.float64).items()}
    far = scene["subhalo_x"][:, :1, None] + 1e4, scene["subhalo_y"][:, :1, None]
    alpha, _ = simulator.kinds["spherical"].deflection(*far, scene)
    assert torch.allclose(alpha[:, 0, 0] * 1e4, scene["subhalo_theta_E"][:, 0] ** 2, rtol=2e-3)


def test_a_truncated_halo_is_what_its_docstring_says() -> None:
    """Mass and scale radius agree with lenstronomy's TNFW and astropy's densities."""
    simulator = Substructure(classes="spherical", subhalos="1", subhalo_mass_fraction="0", halo_mass="1e12")
    scene = simulator.scene(3, "train", FEW, dtype=torch.float64)
    critical = Planck18.critical_density(0.5).to_value("Msun / kpc3")
    for row in range(len(FEW)):
        mass = float(scene["subhalo_mass"][row])
        c = float(concentration(torch.tensor(mass * Planck18.h), torch.tensor(0.5)))
        Rs = (mass / (4 / 3 * math.pi * 200 * critical)) ** (1 / 3) / c * Planck18.arcsec_per_kpc_proper(0.5).value
        assert float(scene["subhalo_Rs"][row, 0]) == pytest.approx(Rs, rel=1e-4)
        assert float(scene["subhalo_r_trunc"][row, 0]) == pytest.approx(5 * Rs, rel=1e-4)
        (parameters,) = subhalos_of(simulator, scene, row)[1]
        alpha, _ = TNFW().derivatives(1e3, 0.0, parameters["Rs"], parameters["alpha_Rs"], parameters["r_trunc"])
        assert float(alpha) * 1e3 == pytest.approx(float(scene["subhalo_theta_E"][row, 0]) ** 2, rel=2e-3)


def test_concentrations_are_those_of_dutton_and_maccio() -> None:
    """Compare with Table 3: log c_200 = 0.905 - 0.101 log(M / 1e12 h^-1) at z = 0."""
    mass = torch.tensor([1e12, 1e10], dtype=torch.float64)
    zero = torch.zeros(2, dtype=torch.float64)
    assert concentration(mass, zero).log10().tolist() == pytest.approx([0.905, 0.905 + 0.202])
    assert hubble_now(Substructure().cosmology) == pytest.approx(Planck18.h, rel=1e-6)


@pytest.mark.parametrize(
    ("options", "profiles"),
    [
        ({"classes": "none"}, 0),
        ({"classes": "spherical", "subhalos": "6", "lens_q": "uniform(0.6, 0.9)"}, 6),
        ({"classes": "vortex", "vortex_points": 12, "log_axion_mass": "-23", "halo_mass": "1e12"}, 12),
    ],
)
def test_a_clean_image_is_lenstronomys(options: dict[str, Any], profiles: int) -> None:
    simulator = DeepLenseA(pixels=48, **options)
    scene = simulator.scene(7, "train", FEW[:2], dtype=torch.float64)
    ours = simulator.clean(scene, omit=["lens_light"]).numpy()
    psf = PSF("PIXEL", kernel_point_source=airy_psf(0.087, 0.05).numpy())
    corner = -23.5 * 0.05
    for row in range(2):
        one = {name: float(value[row]) for name, value in scene.items() if value.ndim == 1}
        lens = [
            {name: one[name] for name in ("theta_E", "e1", "e2", "center_x", "center_y")},
            {name: one[name] for name in ("gamma1", "gamma2")},
        ]
        names, parameters = ([], []) if profiles == 0 else substructure_of(simulator, scene, row)
        assert len(names) == profiles
        source = {
            "amp": one["source_amplitude"],
            "R_sersic": one["source_radius"],
            "n_sersic": one["source_n"],
            "e1": one["source_e1"],
            "e2": one["source_e2"],
            "center_x": one["source_x"],
            "center_y": one["source_y"],
        }
        model = ImageModel(
            PixelGrid(48, 48, np.eye(2) * 0.05, corner, corner),
            psf,
            LensModel(["SIE", "SHEAR", *names]),
            LightModel(["SERSIC_ELLIPSE"]),
        )
        theirs = model.image([*lens, *parameters], [source]) / 0.05**2
        assert np.abs(ours[row] - theirs).max() < 1e-6 * theirs.max()


def substructure_of(simulator: Substructure, scene: Scene, row: int) -> tuple[list[str], list[dict[str, float]]]:
    """Return the profiles of one lens's subhalos or string of points, for lenstronomy."""
    kind = next(iter(simulator.kinds.values()))
    if isinstance(kind, Subhalos):
        return subhalos_of(simulator, scene, row)
    points = {name: values[row].tolist() for name, values in kind.as_points(scene).items()}
    rows = [dict(zip(points, values, strict=True)) for values in zip(*points.values(), strict=True)]
    return ["POINT_MASS"] * len(rows), rows


def test_the_line_looks_like_its_points() -> None:
    """A line and 100 points deflect alike, within the reference's bound away from it."""
    line, points = (DeepLenseA(classes="vortex", vortex=vortex, strength="nominal") for vortex in ("line", "points"))
    scene = line.scene(1, "train", FEW)
    axis = (torch.arange(60, dtype=torch.float32) - 29.5) * 0.05
    x, y = torch.broadcast_tensors(axis[None, :], axis[:, None])
    ours, theirs = (torch.stack(each.kinds["vortex"].deflection(x, y, scene)) for each in (line, points))
    angle = scene["string_direction"][:, None, None]
    along, across = x * angle.cos() + y * angle.sin(), y * angle.cos() - x * angle.sin()
    distance = torch.hypot((along.abs() - scene["string_half_length"][:, None, None]).clamp(min=0), across)
    assert torch.where(distance > 0.03, torch.linalg.vector_norm(ours - theirs, dim=0), 0).max() < 0.004


def test_masses_and_einstein_radii_are_astropys() -> None:
    simulator = DeepLenseB(halo_mass="1e12", classes="vortex", string_mass="3e10")
    scene = simulator.scene(0, "train", FEW, dtype=torch.float64)
    for row in range(len(FEW)):
        z_l, z_s = float(scene["z_lens"][row]), float(scene["z_source"][row])
        D_l, D_s = Planck18.angular_diameter_distance(z_l), Planck18.angular_diameter_distance(z_s)
        D_ls = (Planck18.comoving_distance(z_s) - Planck18.comoving_distance(z_l)) / (1 + z_s)
        bend = 4 * constants.G * units.Msun / constants.c**2 * D_ls / (D_l * D_s)
        radius = np.sqrt((1e12 * bend).to_value("")) * units.rad.to("arcsec")
        assert float(scene["theta_E"][row]) == pytest.approx(radius, rel=1e-5)
        assert float(scene["string_theta_E"][row]) == pytest.approx(radius * math.sqrt(0.03), rel=1e-5)


def test_the_published_lens_has_the_published_einstein_radius() -> None:
    """The reference is 1.66 arcsec for 1e12 solar masses at z = 0.5, source at z = 1."""
    scene = Substructure(halo_mass="1e12", cosmology="FlatLambdaCDM(70, 0.3)").scene(0, "train", FEW[:1])
    assert float(scene["theta_E"]) == pytest.approx(1.66, abs=0.01)


def test_classes_are_drawn_evenly() -> None:
    label = DeepLenseA(classes=CLASSES, pixels=16).scene(5, "train", torch.arange(3000))["substructure"]
    counts = label.bincount(minlength=3)
    assert scipy.stats.chisquare(counts).pvalue > 1e-3


def test_subhalos_have_the_mass_function_the_number_and_the_places() -> None:
    simulator = DeepLenseA(classes="spherical", subhalo_mass_fraction="0", pixels=16, strength="nominal")
    scene = simulator.scene(5, "train", torch.arange(400), dtype=torch.float64)
    there = scene["subhalo_theta_E"] > 0
    assert (there.sum(1) == scene["subhalos"]).all()
    assert scipy.stats.poisson(25).cdf(scene["subhalos"].numpy()).mean() == pytest.approx(0.54, abs=0.05)
    mass = (scene["subhalo_theta_E"] ** 2 * (scene["halo_mass"] / scene["theta_E"] ** 2)[:, None])[there]

    def fraction_below(m: np.ndarray) -> np.ndarray:
        return (m**-0.9 - 1e6**-0.9) / (1e10**-0.9 - 1e6**-0.9)

    assert scipy.stats.kstest(mass.numpy(), fraction_below).pvalue > 1e-3
    r = torch.hypot(scene["subhalo_x"], scene["subhalo_y"])[there]
    assert scipy.stats.kstest(r.numpy(), scipy.stats.uniform(0.25, 1.75).cdf).pvalue > 1e-3


def test_subhalos_lighter_than_the_sun_are_scaled_to_their_fraction() -> None:
    simulator = Substructure(
        classes="spherical", subhalos="3", subhalo_mass_min=1e-3, subhalo_mass_max=1e-2, subhalo_mass_fraction="0.02"
    )
    fraction = simulator.scene(0, "train", FEW)["substructure_fraction"]
    torch.testing.assert_close(fraction, torch.full_like(fraction, 0.02))


def test_a_mass_function_as_steep_as_its_logarithm() -> None:
    u = torch.tensor([0.0, 0.25, 1.0], dtype=torch.float64)
    assert power_law_quantile(u, 1e6, 1e10, -1.0).tolist() == pytest.approx([1e6, 1e7, 1e10])


@pytest.mark.parametrize("classes", ["spherical", "vortex"])
def test_fractions_are_of_the_mass_within_the_einstein_radius(classes: str) -> None:
    scene = DeepLenseA(classes=classes, strength="nominal").scene(2, "train", FEW, dtype=torch.float64)
    name = "subhalo_theta_E" if classes == "spherical" else "string_theta_E"
    theta2 = scene[name].double().reshape(len(FEW), -1).square().sum(1)
    assert torch.allclose(theta2 / scene["theta_E"] ** 2, scene["substructure_fraction"])
    low, high = (0.01, 0.01) if classes == "spherical" else (0.03, 0.055)
    assert scene["substructure_fraction"].min() >= low - 1e-9
    assert scene["substructure_fraction"].max() <= high + 1e-9


def test_an_axions_mass_gives_the_length() -> None:
    """The reference: half of the length is .06 / (2 m) 1e-22 arcsec."""
    scene = Substructure(classes="vortex", log_axion_mass="-23").scene(0, "train", FEW)
    assert scene["string_length"].tolist() == pytest.approx([0.6] * 4)


def test_a_lens_is_the_same_in_all_classes_but_for_its_substructure() -> None:
    every = DeepLenseA(classes=CLASSES, pixels=32)
    scene = every.scene(1, "train", torch.arange(12))
    images = every.render(scene)
    assert len(scene["substructure"].unique()) == 3
    for number, name in enumerate(CLASSES):
        rows = (scene["substructure"] == number).nonzero().squeeze(1)
        alone = DeepLenseA(classes=name, pixels=32)
        assert torch.equal(alone.render(alone.scene(1, "train", rows)), images[rows])


def test_nothing_depends_on_neighbours() -> None:
    simulator = DeepLenseB(classes=CLASSES, pixels=24, background_rms="0.01", supersampling="adaptive")
    scene = simulator.scene(1, "train", torch.arange(9))
    images = simulator.render(scene)
    for row in range(9):
        single = simulator.scene(1, "train", torch.tensor([row]))
        assert single.keys() == scene.keys()
        assert all(torch.equal(single[k].nan_to_num(), scene[k][row : row + 1].nan_to_num()) for k in single)
        assert (simulator.render(single) - images[row]).abs().max() < 1e-5


@pytest.mark.parametrize(("options", "target"), [({}, 60.0), ({"snr": "12", "background_rms": "0.05"}, 12.0)])
def test_the_brightest_pixel_has_the_signal_to_noise_ratio(options: dict[str, Any], target: float) -> None:
    """Measure renderings that differ in their noise only, before they are scaled."""
    simulator = DeepLenseA(pixels=16, **options)
    draws = 4000
    scene = simulator.scene(
        0, "train", torch.zeros(draws, dtype=torch.long), torch.arange(draws), shared=simulator.groups
    )
    clean = simulator.clean({name: value[:1] for name, value in scene.items()})
    row, column = divmod(int(clean.argmax()), 16)
    counts = simulator.counts(clean.expand(draws, -1, -1), scene)[:, row, column].double()
    assert float(counts.mean() / counts.std()) == pytest.approx(target, rel=4 / math.sqrt(2 * draws))
    assert simulator.render({name: value[:50] for name, value in scene.items()}).amax((1, 2, 3)).unique().tolist() == [
        1
    ]


PUBLISHED = {"a": (DeepLenseA, 1.28e-4, 0.09), "b": (DeepLenseB, 1.06e-4, 0.16)}
"""Mean of the published AAE's errors without substructure, and their standard deviation divided by the mean."""


@pytest.mark.parametrize("model", PUBLISHED)
def test_noise_has_the_level_and_the_scatter_of_the_published_errors(model: str) -> None:
    """An autoencoder's error is at least the noise, which it cannot predict."""
    simulator, mean, scatter = PUBLISHED[model]
    error = noise_errors(simulator())
    assert 0.75 * mean < error.mean() < mean
    assert error.std() / error.mean() < 1.3 * scatter


def test_clipped_noise_has_half_the_error_of_the_sky() -> None:
    """A clipped normal number has a mean square of 1/2 about the sky's level."""
    plain, clipped = (noise_errors(DeepLenseA(clip=clip, light_amplitude="0")) for clip in (False, True))
    assert 0.5 < clipped.mean() / plain.mean() < 0.7


def noise_errors(simulator: Substructure) -> np.ndarray:
    """Return the mean square of the noise of 60 images, after scaling."""
    scene = simulator.scene(0, "train", torch.arange(60))
    clean, seen = simulator.clean(scene), simulator.render(scene)[:, 0]
    n = len(clean)
    errors = []
    for row in range(n):
        # The scaling is linear in the light, so least squares finds it.
        model = np.stack([clean[row].numpy().ravel(), np.ones(clean[row].numel())], axis=1)
        errors.append(np.linalg.lstsq(model, seen[row].numpy().ravel(), rcond=None)[1][0] / len(model))
    return np.array(errors)


def test_substructure_is_as_strong_as_in_the_published_images() -> None:
    """Compare the change of an image with an independent calculation.

    Substructure of the authors' package changes an image by a mean square of 8.0e-5 and 9.1e-5. The paper's nominal
    substructure is weaker, for subhalos by more than a factor of 30.
    """
    change = {}
    for strength in ("effective", "nominal"):
        images = {}
        for name in CLASSES:
            simulator = DeepLenseA(classes=name, strength=strength)  # type: ignore[arg-type]
            clean = simulator.clean(simulator.scene(0, "test", torch.arange(200)))
            images[name] = clean / clean.amax((1, 2), keepdim=True)
        for name in CLASSES[1:]:
            change[strength, name] = float((images[name] - images["none"]).square().mean())
    assert change["effective", "spherical"] == pytest.approx(8.0e-5, rel=0.5)
    assert change["effective", "vortex"] == pytest.approx(9.1e-5, rel=0.5)
    assert change["nominal", "spherical"] < change["effective", "spherical"] / 30
    assert change["nominal", "vortex"] < change["effective", "vortex"] / 2


def test_an_option_that_is_given_beats_the_strength() -> None:
    scene = DeepLenseA(classes="spherical", subhalo_mass_fraction="0.05").scene(0, "train", FEW)
    torch.testing.assert_close(scene["substructure_fraction"], torch.full((4,), 0.05))
    assert scene["subhalo_theta_E"].unique().numel() == 1


def test_images_are_between_0_and_1_without_light_too() -> None:
    simulator = Substructure(classes=CLASSES, pixels=24, background_rms="0.02", psf="none", subhalos="poisson(3)")
    scene = simulator.scene(4, "train", torch.arange(8))
    for without in ((), ("source",), ("lens_light",), ("source", "lens_light")):
        images = simulator.render(scene, without)
        assert images.shape == (8, 1, 24, 24)
        assert images.min() >= 0
        assert (images.amax((1, 2, 3)) == 1).all()
    assert simulator.render(scene, ("lens_light",)).ne(simulator.render(scene)).any()


def test_what_is_recorded_is_there_and_differs() -> None:
    nominal = DeepLenseA(classes=CLASSES, strength="nominal")
    for simulator in (nominal, DeepLenseB(), Substructure(classes=("vortex", "spherical"))):
        scene = simulator.scene(0, "train", torch.arange(20))
        for parameter in simulator.parameters:
            values = scene[parameter.name]
            assert values.shape == (20,)
            assert parameter.group in simulator.groups
            assert parameter.name == "substructure" or len(values[values.isfinite()].unique()) > 1
    label = simulator.parameters[0]
    assert (label.name, label.classes) == ("substructure", CLASSES)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"halo_mass": "1e12", "z_lens": "uniform(0.4, 0.6)"},
        {"halo_mass": "uniform(1e12, 2e12)"},
        {"theta_E": "1.2", "z_source": "uniform(0.8, 1.2)"},
        {"lens_q": "0.7", "light_q": "0.7", "source_q": "0.7"},
        {"lens_q": "0.7", "lens_angle": "1", "light_angle": "1", "source_angle": "1", "light_q": "0.7"},
        {"lens_q": "1", "light_q": "1", "source_q": "1", "shear": "0"},
        {"source_r": "0.3", "shear": "0.05"},
        {"source_r": "0", "shear_angle": "0.3"},
        {"source_x": "uniform(0, 1)", "source_y": "uniform(0, 1)", "source_e1": "0", "source_e2": "0"},
    ],
)
def test_what_differs_is_recorded_and_nothing_else(options: dict[str, Any]) -> None:
    simulator = Substructure(pixels=16, **options)
    scene = simulator.scene(0, "train", torch.arange(16))
    recorded = {parameter.name for parameter in simulator.parameters} - {"substructure"}
    assert recorded == {p.name for p, _ in FOLLOWING if p.name in scene and scene[p.name].unique().numel() > 1}


def test_a_vortex_is_known_where_there_is_one() -> None:
    scene = DeepLenseA(classes=CLASSES, pixels=16).scene(0, "train", torch.arange(30))
    assert torch.equal(scene["string_length"].isfinite(), scene["substructure"] == 2)
    assert torch.equal(scene["substructure_mass"] > 0, scene["substructure"] > 0)


def test_no_substructure_costs_nothing() -> None:
    assert not DeepLenseA().kinds
    assert isinstance(DeepLenseA(classes=("none", "vortex")).kinds["vortex"], Vortex)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"classes": "vortx"}, "no class is called 'vortx' (did you mean vortex?); there are none, spherical, vortex"),
        ({"classes": ()}, "none is given"),
        ({"snr": "0"}, "option snr: 0 gives 0 to 0; above 0"),
        ({"snr": "uniform(-5, 20)"}, "above 0 and below 1e5 is right"),
        ({"z_lens": "1", "z_source": "1"}, "all sources must be behind all lenses"),
        ({"z_lens": "uniform(0.2, 1.1)"}, "lenses reach a redshift of 1.1 and sources begin at 1;"),
        ({"background_rms": "0.1", "snr": "20"}, "use a background_rms below 0.05"),
        ({"theta_E": "1.3", "halo_mass": "1e12"}, "theta_E and halo_mass: one of them is right"),
        ({"source_x": "0"}, "give the options source_x and source_y together"),
        ({"source_e1": "0.9", "source_e2": "0.9"}, "an ellipticity"),
        ({"subhalos": "-1"}, "at least 0"),
        ({"subhalo_mass_min": 1e11}, "exchange the two values"),
        ({"subhalo_masses": "equal", "subhalo_mass_fraction": "0"}, "needs a subhalo_mass_fraction above 0"),
        ({"cosmology": "Plank18"}, "no cosmology is called"),
    ],
)
def test_bad_input_is_told_in_one_line(options: dict[str, object], words: str) -> None:
    with pytest.raises(UsageError) as raised:
        Substructure(**options)  # type: ignore[arg-type]
    assert words in str(raised.value)
    assert "\n" not in str(raised.value)
