"""Models I to III, compared with lenstronomy as the public code uses it.

Only the integration of the PSF over pixels differs.
"""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
import pytest
import torch
from lenstronomy.Data.pixel_grid import PixelGrid
from lenstronomy.Data.psf import PSF
from lenstronomy.ImSim.image_model import ImageModel
from lenstronomy.LensModel.lens_model import LensModel
from lenstronomy.LightModel.light_model import LightModel
from lenstronomy.SimulationAPI.ObservationConfig.Euclid import Euclid
from lenstronomy.SimulationAPI.ObservationConfig.HST import HST
from lenstronomy.SimulationAPI.sim_api import SimAPI

from lenskit.errors import UsageError
from lenskit_deeplense.simulators.recorded import CLASSES
from lenskit_deeplense.simulators.released import DeepLense1, DeepLense2, DeepLense3
from lenskit_lensing.instruments.psf import profile_psf

torch.set_num_threads(1)

FEW = torch.arange(3)

BANDS: dict[type[DeepLense2], Any] = {
    DeepLense2: lambda: Euclid(band="VIS", psf_type="GAUSSIAN", coadd_years=6),
    DeepLense3: lambda: HST(band="WFC3_F160W", psf_type="GAUSSIAN"),
}

SOURCE = {"R_sersic": 0.25, "n_sersic": 1, "e1": -0.1, "e2": 0.1}


def macro(theta_E: float) -> list[dict[str, float]]:
    """Return the lens of the public code, for lenstronomy."""
    return [{"theta_E": theta_E, "e1": 0.1, "e2": 0, "center_x": 0, "center_y": 0}, {"gamma1": 0.05, "gamma2": 0}]


def points_of(model: DeepLense1, scene: dict[str, torch.Tensor], row: int) -> list[dict[str, float]]:
    """Return the point masses of one lens, for lenstronomy."""
    kind: Any = next(iter(model.kinds.values()))
    if model.classes == ("vortex",):
        points = {name: values[row].tolist() for name, values in kind.as_points(scene).items()}
    else:
        names = {"theta_E": "subhalo_theta_E", "center_x": "subhalo_x", "center_y": "subhalo_y"}
        points = {name: scene[ours][row].tolist() for name, ours in names.items()}
    return [dict(zip(points, values, strict=True)) for values in zip(*points.values(), strict=True)]


def test_the_einstein_radius_follows_from_luminosity_distances() -> None:
    """The reference is 1.28 arcsec for luminosity distances; 1.66 is right."""
    for released, theta_E in ((True, 1.28), (False, 1.66)):
        assert float(DeepLense1(as_released=released).scene(0, "train", FEW)["theta_E"][0]) == pytest.approx(
            theta_E, abs=0.01
        )


@pytest.mark.parametrize("name", CLASSES)
def test_model_1_is_lenstronomys(name: str) -> None:
    model = DeepLense1(classes=name)
    scene = model.scene(0, "train", FEW, dtype=torch.float64)
    ours = model.clean(scene).numpy() * 0.05**2
    psf = PSF("PIXEL", kernel_point_source=profile_psf(0.087, 0.05).numpy())
    for row in range(len(FEW)):
        points = points_of(model, scene, row) if model.kinds else []
        source = {
            "amp": 20, **SOURCE, "center_x": float(scene["source_x"][row]), "center_y": float(scene["source_y"][row])
        }  # fmt: skip
        grid = PixelGrid(150, 150, np.eye(2) * 0.05, -74.5 * 0.05, -74.5 * 0.05)
        lens = LensModel(["SIE", "SHEAR", *["POINT_MASS"] * len(points)])
        image = ImageModel(grid, psf, lens, LightModel(["SERSIC_ELLIPSE"]))
        theirs = image.image([*macro(1.28149), *points], [source])
        assert np.abs(ours[row] - theirs).max() < 1e-3 * theirs.max()


@pytest.mark.parametrize("kind", BANDS)
@pytest.mark.parametrize("name", CLASSES)
def test_models_2_and_3_are_lenstronomys(kind: type[DeepLense2], name: str) -> None:
    """Deflections are for a source at redshift 2.5, as in the public code."""
    model = kind(classes=name)
    scene = model.scene(0, "train", FEW, dtype=torch.float64)
    ours = model.render(scene)[:, 0].numpy()
    for row in range(2):
        points = points_of(model, scene, row) if model.kinds else []
        source = {
            "magnitude": 20, **SOURCE,
            "center_x": float(scene["source_x"][row]), "center_y": float(scene["source_y"][row]),
        }  # fmt: skip
        setup = {
            "lens_model_list": ["SIE", "SHEAR", *["POINT_MASS"] * len(points)],
            "lens_redshift_list": [0.5] * (2 + len(points)),
            "source_light_model_list": ["SERSIC_ELLIPSE"],
            "source_redshift_list": [1.0],
            "cosmo": model_cosmology(),
            "z_source_convention": 2.5,
            "z_source": 1.0,
        }
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            band = BANDS[kind]().kwargs_single_band()
            kernel = profile_psf(band["seeing"], band["pixel_scale"]).numpy()
            simulation = SimAPI(64, band | {"psf_type": "PIXEL", "kernel_point_source": kernel}, setup)
            _, sources, _ = simulation.magnitude2amplitude(None, [source])
            theirs = 2 * simulation.image_model_class().image([*macro(1.28149), *points], sources)
        assert np.abs(ours[row] - theirs).max() < 1e-3 * theirs.max()


def model_cosmology() -> Any:
    from astropy.cosmology import FlatLambdaCDM

    return FlatLambdaCDM(70, 0.3)


@pytest.mark.parametrize("kind", BANDS)
def test_noise_is_that_of_lenstronomys_bands(kind: type[DeepLense2]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        band = SimAPI(64, BANDS[kind]().kwargs_single_band(), {})
    scene = kind().scene(0, "train", FEW)
    assert float(scene["sky_rms"][0]) == pytest.approx(float(band.background_noise), rel=1e-3)
    assert float(scene["exposure"][0]) == pytest.approx(float(band.exposure_time))


def test_noise_enters_twice_as_released() -> None:
    """Compare with closed forms of the variance of counts at one pixel."""
    draws = 4000
    for noise, times in (("once", 1), ("twice", 2)):
        model = DeepLense1(noise=noise, exposure="2000", pixels=16)  # type: ignore[arg-type]
        same = torch.zeros(draws, dtype=torch.long)
        shared = [group for group in model.groups if group != "instrument"]
        scene = model.scene(0, "train", same, torch.arange(draws), shared=shared)
        bright = torch.full((draws, 16, 16), 40.0)  # 40 x .05^2 = .1 counts per second
        counts = model.observe(bright, scene)[:, 8, 8].double()
        expected = times * 200 + (2000 * 0.01) ** 2
        assert float(counts.mean()) == pytest.approx(200, abs=4 * math.sqrt(expected / draws))
        assert float(counts.var()) == pytest.approx(expected, rel=4 * math.sqrt(2 / draws))


def test_an_oddity_can_be_chosen_alone() -> None:
    subhalos = DeepLense1(classes="spherical").scene(0, "train", torch.arange(50))["subhalos"]
    assert subhalos.unique().tolist() == [25]
    drawn = DeepLense1(classes="spherical", subhalos="poisson(25)").scene(0, "train", torch.arange(50))["subhalos"]
    assert drawn.unique().numel() > 5
    sane = DeepLense2(as_released=False)
    assert sane.noise == "once"
    assert "deflection_scale" not in sane.scene(0, "train", FEW)
    assert float(sane.scene(0, "train", FEW)["source_e1"].unique().numel()) > 1


def test_the_einstein_radius_can_be_given() -> None:
    assert DeepLense1(theta_E="1.1").scene(0, "train", FEW)["theta_E"].tolist() == pytest.approx([1.1] * 3)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"z_convention": 0.4}, "a source at 0.4 is not behind lenses at up to 0.5"),
        ({"theta_E": "1.1", "halo_mass": "1e12"}, "set only one of them"),
        ({"exposure": "0"}, "between 0.001 and 1e9 s"),
        ({"sky_rms": "-1"}, "at least 0"),
    ],
)
def test_bad_options_are_named(options: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        DeepLense2(**options)


def test_images_are_counts() -> None:
    images = DeepLense1(classes=CLASSES).render(DeepLense1(classes=CLASSES).scene(0, "train", FEW))
    assert images.shape == (3, 1, 150, 150)
    assert torch.equal(images, images.round())
    assert float(images.amax((1, 2, 3)).min()) > 50
