"""Lenses with substructure: images, classes, records and bad input.

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
from lenstronomy.LightModel.light_model import LightModel

from lenskit.errors import UsageError
from lenskit.kinds.simulator import Scene
from lenskit_deeplense.simulators.deeplense import DeepLenseA, DeepLenseB
from lenskit_deeplense.simulators.recorded import CLASSES, FOLLOWING
from lenskit_deeplense.simulators.subhalos import Subhalos
from lenskit_deeplense.simulators.substructure import Substructure
from lenskit_deeplense.simulators.vortex import Vortex
from lenskit_lensing.instruments.psf import airy_psf

torch.set_num_threads(1)


FEW = torch.arange(4)


@pytest.mark.parametrize(
    ("options", "profiles"),
    [
        ({"classes": "none"}, 0),
        ({"classes": "spherical", "subhalos": "6", "lens_q": "uniform(0.6, 0.9)"}, 6),
        ({"classes": "vortex", "vortex_points": 12, "log_axion_mass": "-23", "halo_mass": "1e12"}, 12),
    ],
)
def test_a_clean_image_is_lenstronomys(options: dict[str, Any], profiles: int, subhalos_of: Any) -> None:
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
        names, parameters = ([], []) if profiles == 0 else substructure_of(simulator, scene, row, subhalos_of)
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


def substructure_of(
    simulator: Substructure, scene: Scene, row: int, subhalos_of: Any
) -> tuple[list[str], list[dict[str, float]]]:
    """Return the profiles of one lens's subhalos or string of points, for lenstronomy."""
    kind = next(iter(simulator.kinds.values()))
    if isinstance(kind, Subhalos):
        return subhalos_of(simulator, scene, row)
    points = {name: values[row].tolist() for name, values in kind.as_points(scene).items()}
    rows = [dict(zip(points, values, strict=True)) for values in zip(*points.values(), strict=True)]
    return ["POINT_MASS"] * len(rows), rows


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


@pytest.mark.slow
def test_the_published_lens_has_the_published_einstein_radius() -> None:
    """The reference is 1.66 arcsec for 1e12 solar masses at z = 0.5, source at z = 1."""
    scene = Substructure(halo_mass="1e12", cosmology="FlatLambdaCDM(70, 0.3)").scene(0, "train", FEW[:1])
    assert float(scene["theta_E"]) == pytest.approx(1.66, abs=0.01)


def test_classes_are_drawn_evenly() -> None:
    label = DeepLenseA(classes=CLASSES, pixels=16).scene(5, "train", torch.arange(3000))["substructure"]
    counts = label.bincount(minlength=3)
    assert scipy.stats.chisquare(counts).pvalue > 1e-3


@pytest.mark.parametrize("classes", ["spherical", "vortex"])
def test_fractions_are_of_the_mass_within_the_einstein_radius(classes: str) -> None:
    scene = DeepLenseA(classes=classes, strength="nominal").scene(2, "train", FEW, dtype=torch.float64)
    name = "subhalo_theta_E" if classes == "spherical" else "string_theta_E"
    theta2 = scene[name].double().reshape(len(FEW), -1).square().sum(1)
    assert torch.allclose(theta2 / scene["theta_E"] ** 2, scene["substructure_fraction"])
    low, high = (0.01, 0.01) if classes == "spherical" else (0.03, 0.055)
    assert scene["substructure_fraction"].min() >= low - 1e-9
    assert scene["substructure_fraction"].max() <= high + 1e-9


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


def test_no_substructure_costs_nothing() -> None:
    assert not DeepLenseA().kinds
    assert isinstance(DeepLenseA(classes=("none", "vortex")).kinds["vortex"], Vortex)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"classes": "vortx"}, "unknown class 'vortx'; did you mean vortex"),
        ({"classes": ()}, "there is no class"),
        ({"snr": "0"}, "option snr: 0 gives 0 to 0; it must be above 0"),
        ({"snr": "uniform(-5, 20)"}, "it must be above 0 and below 1e5"),
        ({"z_lens": "1", "z_source": "1"}, "all sources must be behind all lenses"),
        ({"z_lens": "uniform(0.2, 1.1)"}, "lenses reach a redshift of 1.1 and sources begin at 1;"),
        ({"background_rms": "0.1", "snr": "20"}, "use a background_rms below 0.05"),
        ({"theta_E": "1.3", "halo_mass": "1e12"}, "theta_E and halo_mass: set only one of them"),
        ({"source_x": "0"}, "give the options source_x and source_y together"),
        ({"source_e1": "0.9", "source_e2": "0.9"}, "an ellipticity"),
        ({"subhalos": "-1"}, "at least 0"),
        ({"subhalo_mass_min": 1e11}, "swap the two values"),
        ({"subhalo_masses": "equal", "subhalo_mass_fraction": "0"}, "needs a subhalo_mass_fraction above 0"),
        ({"cosmology": "Plank18"}, "unknown cosmology"),
    ],
)
def test_bad_input_is_told_in_one_line(options: dict[str, object], words: str) -> None:
    with pytest.raises(UsageError) as raised:
        Substructure(**options)  # type: ignore[arg-type]
    assert words in str(raised.value)
    assert "\n" not in str(raised.value)
