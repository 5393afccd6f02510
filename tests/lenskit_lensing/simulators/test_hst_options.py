"""Simulator `hst`: other instruments, noise, background gradients, masked pixels."""

from __future__ import annotations

import shlex
from pathlib import Path

import numpy as np
import pytest
import torch
from astropy.io import fits

from lenskit.errors import UsageError
from lenskit.plugin import KeyedGenerator, Scene
from lenskit_lensing.instruments.noise import noise_sigma
from lenskit_lensing.instruments.psf import load_psfs, profile_psf
from lenskit_lensing.simulators.hst import HST, normalised

torch.set_num_threads(1)

DOCS = (Path(__file__).parents[3] / "docs" / "guides" / "simulators.md").read_text(encoding="utf-8")

COMMAND = shlex.split(DOCS.partition("**SLACS-like lenses**")[2].split("```")[1])
SLACS = dict(word.removeprefix("simulator.").split("=", 1) for word in COMMAND if word.startswith("simulator."))
"""The options that the documentation gives for lenses as those of SLACS."""


def quiet(scene: Scene) -> Scene:
    return scene | {"noise": torch.zeros_like(scene["noise"])}


def peak_in_electrons(simulator: HST, scene: Scene, without: tuple[str, ...] = ()) -> torch.Tensor:
    """Electrons per second in the brightest pixel, (n,).

    The noise of a corner pixel, known in electrons per second, gives the scale.
    """
    loud = quiet(scene)
    loud["noise"][:, 0, 0] = 1
    value = simulator.render(quiet(scene), without)[:, 0, 0, 0]
    sigma = simulator.render(loud, without)[:, 0, 0, 0] - value
    shot = value / simulator.band.total_exposure
    return (shot + (shot**2 + 4 * (sigma * simulator.band.background_sigma) ** 2).sqrt()) / (2 * sigma**2)


def medians(simulator: HST, n: int = 150) -> tuple[float, float]:
    """Medians of the peak's signal to noise, and of peak over background noise."""
    peak = peak_in_electrons(simulator, simulator.scene(0, "train", torch.arange(n), dtype=torch.float64))
    sigma = noise_sigma(peak, simulator.band)
    return float((peak / sigma).median()), float(sigma.median() / simulator.band.background_sigma)


def test_the_default_is_hst_as_it_was() -> None:
    simulator = HST()
    assert (simulator.image_shape, simulator.band.pixel_scale) == ((1, 110, 110), 0.05)
    assert simulator.groups == ("lens", "source", "lens_light", "instrument")
    scene = simulator.scene(0, "train", torch.arange(2))
    rng = KeyedGenerator(0, "train", "instrument", torch.arange(2), torch.zeros(2, dtype=torch.int64))
    assert torch.equal(scene["noise"], rng.noise("noise", 110, 110))
    assert not {"masked", "background_gradient", "neighbours", "light_magnitude"} & set(scene)
    psfs = load_psfs(None, 0.05)
    assert torch.equal(simulator.renderer.convolve.psfs, psfs)


def test_the_lens_light_has_its_magnitude() -> None:
    """All of the light is in the frame."""
    options = {"light_n": 1, "light_radius": 0.3, "theta_E": 1, "light_magnitude": "uniform(17, 20)"}
    simulator = HST(noise="instrument", instrument="euclid-vis", pixels=100, **options)
    scene = simulator.scene(0, "train", torch.arange(6), dtype=torch.float64)
    light = simulator.render(quiet(scene), {"source"}).sum((1, 2, 3))
    counted = light * peak_in_electrons(simulator, scene, ("source",))
    expected = 10 ** (0.4 * (25.72 - scene["light_magnitude"]))
    torch.testing.assert_close(counted, expected, rtol=5e-3, atol=0)


def test_noise_is_that_of_the_instrument_in_every_pixel() -> None:
    simulator = HST(noise="instrument", log_light_to_arc=1.5, light_magnitude="uniform(15, 17)")
    scene = simulator.scene(0, "train", torch.arange(8), dtype=torch.float64)
    image = simulator.render(quiet(scene))
    ones = scene | {"noise": torch.ones_like(scene["noise"])}
    flat = image.flatten(1)
    ones["noise"].flatten(1).scatter_(1, flat.argmax(1, keepdim=True), 0)  # keeps the maximum
    peak = peak_in_electrons(simulator, scene)[:, None, None, None]
    sigma = (simulator.render(ones) - image) * peak
    expected = (0.01**2 + image * peak / 2250).sqrt()
    expected = expected.flatten(1).scatter(1, flat.argmax(1, keepdim=True), 0).view_as(sigma)
    torch.testing.assert_close(sigma, expected, rtol=1e-6, atol=1e-9)


def test_the_lens_light_keeps_its_photons_whatever_is_left_out() -> None:
    """The arc alone is fainter than the lens light by the ratio of both maxima."""
    simulator = HST(noise="instrument", log_light_to_arc=1, light_magnitude=15)
    scene = simulator.scene(0, "train", torch.arange(4), dtype=torch.float64)
    light, arc = (peak_in_electrons(simulator, scene, (without,)) for without in ("source", "lens_light"))
    torch.testing.assert_close(light / arc, torch.full_like(light, 10), rtol=1e-4, atol=0)


@pytest.mark.slow
def test_slacs_like_scenes_are_as_deep_as_slacs(real_data: Path) -> None:
    """Compare with 13 frames of about 2250 s.

    Compared are the signal to noise of the peak, and the noise of the peak over the noise of the sky.
    """
    ratios, contrasts = [], []
    for folder in sorted((real_data / "slacs").glob("J*")):
        image, noise = (fits.getdata(folder / f"{name}.fits").astype(float) for name in ("image", "noise"))
        sky = np.median(noise[image < np.percentile(image[noise < 1e4], 30)])
        if sky < 0.015:
            y, x = np.unravel_index(np.where(noise < 1e4, image, 0)[90:111, 90:111].argmax(), (21, 21))
            ratios.append(image[90 + y, 90 + x] / noise[90 + y, 90 + x])
            contrasts.append(noise[90 + y, 90 + x] / sky)
    assert len(ratios) == 13
    ours = medians(HST(**SLACS))
    assert ours[0] == pytest.approx(np.median(ratios), rel=0.2)
    assert ours[1] == pytest.approx(np.median(contrasts), rel=0.25)


@pytest.mark.parametrize(
    ("instrument", "band", "pixels"),
    [("euclid-vis", None, 200), ("euclid-nisp", "H", 66), ("lsst", "i", 100), ("jwst-nircam", "F444W", 108)],
)
def test_other_instruments(instrument: str, band: str | None, pixels: int) -> None:
    simulator = HST(instrument=instrument, band=band, noise="instrument")
    assert simulator.image_shape == (1, pixels, pixels)
    assert simulator.band.name == (band or "VIS")
    images = simulator.render(simulator.scene(0, "train", torch.arange(3)))
    assert images.isfinite().all()
    torch.testing.assert_close(images.amax((1, 2, 3)), torch.ones(3))
    assert "psf" not in {p.name for p in simulator.parameters}  # the instrument has a single PSF


def test_pixels_and_psf_may_be_others_than_the_instruments(tmp_path: Path) -> None:
    np.save(tmp_path / "star.npy", np.ones((3, 3)))
    simulator = HST(instrument="lsst", pixels=40, pixel_scale=0.1, psf=str(tmp_path / "star.npy"))
    assert simulator.image_shape == (1, 40, 40)
    torch.testing.assert_close(simulator.renderer.convolve.psfs, torch.full((1, 3, 3), 1 / 9, dtype=torch.float64))
    finer = HST(instrument="lsst", pixels=40, pixel_scale=0.1).renderer.convolve.psfs
    assert torch.equal(finer[0], profile_psf(0.77, 0.1))


def test_an_instrument_of_ones_own_and_of_a_plugin(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text("[bands.A]\npixels = 32\npixel_scale = 0.1\nfwhm = 0.2\n")
    assert HST(instrument=str(tmp_path / "mine.toml")).image_shape == (1, 32, 32)
    assert HST(instrument="pinhole").image_shape == (1, 24, 24)


@pytest.mark.parametrize("noise", ["white", "instrument"])
def test_a_background_rises_by_so_many_times_the_noise(noise: str) -> None:
    simulator = HST(noise=noise, background_gradient="uniform(-20, 20)", light_magnitude=18)
    plain = HST(noise=noise, light_magnitude=18)
    scene = quiet(simulator.scene(0, "train", torch.arange(6), dtype=torch.float64))
    loud = simulator.render(scene)[:, 0]
    without = {name: values for name, values in scene.items() if name != "background_gradient"}
    before = simulator.render(without)[:, 0]
    sigma = 10 ** scene["log_noise"] if noise == "white" else 0.01 / peak_in_electrons(plain, without)
    angle = 2 * np.pi * scene["background_angle"]
    axis = (torch.arange(110, dtype=torch.float64) - 54.5) / 110
    plane = angle.cos()[:, None, None] * axis + angle.sin()[:, None, None] * axis[:, None]
    expected = before + (scene["background_gradient"] * sigma)[:, None, None] * plane
    torch.testing.assert_close(loud, normalised(expected), rtol=0, atol=1e-6)
    assert "background_gradient" in {p.name for p in simulator.parameters}


def test_masked_pixels_are_zeros() -> None:
    simulator = HST(masked_pixels="uniform(0.01, 0.2)")
    scene = simulator.scene(0, "train", torch.arange(40))
    images = simulator.render(scene)[:, 0]
    assert torch.equal(images == 0, scene["masked"])
    assert float(scene["masked"].float().mean() / scene["masked_pixels"].mean()) == pytest.approx(1, abs=0.1)
    seen = simulator.render({name: values for name, values in scene.items() if name != "masked"})[:, 0]
    kept = torch.where(scene["masked"], 0, seen)
    torch.testing.assert_close(images, normalised(kept))


def test_options_that_are_off_change_no_draw_and_those_that_are_on_no_other() -> None:
    usual = HST(pixels=32).scene(5, "train", torch.arange(7))
    options = {"neighbours": 2, "background_gradient": 1, "masked_pixels": 0.1}
    for name, value in options.items():
        scene = HST(pixels=32, **{name: value}).scene(5, "train", torch.arange(7))
        for entry, values in usual.items():
            assert torch.equal(values, scene[entry]), (name, entry)
    physical = HST(pixels=32, noise="instrument").scene(5, "train", torch.arange(7))
    for entry in set(usual) - {"log_noise", "noise"}:
        assert torch.equal(usual[entry], physical[entry]), entry


def test_what_is_recorded_follows_the_options() -> None:
    simulator = HST(
        noise="instrument", neighbours="uniform(0, 4)", background_gradient="normal(0, 1)", masked_pixels=0.01
    )
    names = {p.name for p in simulator.parameters}
    assert {"light_magnitude", "neighbours", "background_gradient", "masked_pixels"} <= names
    assert "log_noise" not in names
    scene = simulator.scene(0, "train", torch.arange(5))
    assert all(scene[name].shape == (5,) for name in names)
    assert {p.group for p in simulator.parameters} == set(simulator.groups)
    assert simulator.removable == {"source", "lens_light", "field"}


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"instrument": "euclid-viz"}, "unknown instrument 'euclid-viz'; did you mean euclid-vis"),
        ({"instrument": "lsst", "band": "K"}, "instrument 'lsst' has no band 'K'; it has g, r, i"),
        (
            {"instrument": "pinhole", "noise": "instrument"},
            "band white of instrument 'pinhole' lacks zero_point, exposure_time, background_rms .or sky and",
        ),
        ({"neighbours": "uniform(-1, 3)"}, "option neighbours: .* it must be at least 0 and below 33"),
        ({"neighbours": 40}, "option neighbours"),
        ({"neighbour_radius": 0}, "option neighbour_radius: .* between 0.001 and 100 arcsec"),
        ({"neighbour_e1": 0.9, "neighbour_e2": 0.9}, "neighbour_e1 and neighbour_e2: .* reach an ellipticity"),
        ({"masked_pixels": 0.6}, "option masked_pixels: .* it must be .* below 0.5"),
        ({"light_magnitude": "uniform(3, 2)"}, "option light_magnitude: .* low > high"),
        ({"gamma": "uniform(1, 2)"}, "option gamma"),
    ],
)
def test_wrong_options_are_one_line(options: dict[str, object], complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint) as error:
        HST(**options)
    assert "\n" not in str(error.value)
