"""Cutouts of galaxies: measured shapes, similar galaxies, and errors."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from astropy.io import fits

from lenskit.errors import UsageError
from lenskit_lensing.scenes.cutouts import Cutouts, axis_ratio, load_cutouts

torch.set_num_threads(1)

Galaxies = Callable[..., Path]


@pytest.fixture(scope="module")
def folder(draw_galaxies: Galaxies, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_galaxies(tmp_path_factory.mktemp("galaxies"), 9, unit=250.0)


@pytest.fixture(scope="module")
def cutouts(folder: Path) -> Cutouts:
    return load_cutouts(str(folder), None, 0.12)[0]


def test_measures_what_was_drawn(cutouts: Cutouts) -> None:
    assert (axis_ratio(cutouts.ellipticity) - torch.linspace(0.55, 0.95, 9)).abs().max() < 0.03
    rng = np.random.default_rng(0)
    for number in range(9):
        angle, dx, dy = rng.uniform(0, np.pi), *rng.uniform(-1, 1, 2)
        rng.standard_normal((48, 48))
        found = math.atan2(*cutouts.ellipticity[number].flip(0).tolist()) / 2
        if number < 7:  # the others are nearly round
            assert abs(math.remainder(found - angle, math.pi)) < 0.05
        assert (cutouts.center[number] - torch.tensor([dx, dy])).abs().max() < 0.1
    assert torch.allclose(cutouts.noise, torch.tensor(0.002).double(), rtol=0.15)
    assert torch.allclose(cutouts.peak, torch.tensor(250.0).double(), rtol=0.1)
    assert torch.allclose(cutouts.images.amax((1, 2)), torch.tensor(1.0))


def test_those_that_are_alike_have_nearly_that_axis_ratio_and_are_others(cutouts: Cutouts) -> None:
    """All galaxies within the tolerance of 0.12 are chosen: two on either side.

    Axis ratios differ in steps of 0.05.
    """
    galaxy = torch.arange(9).repeat_interleave(101)
    other = cutouts.alike(galaxy, torch.linspace(0, 1, 101, dtype=torch.float64).repeat(9))
    q = axis_ratio(cutouts.ellipticity)
    assert (q[galaxy] - q[other]).abs().max() <= 0.12
    for number in range(9):
        near = {place for place in range(9) if place != number and abs(q[place] - q[number]) <= 0.12}
        assert set(other[galaxy == number].tolist()) == near


def test_the_nearest_stands_in_where_none_is_alike(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "lenskit")
    cutouts, _, _ = load_cutouts(str(folder), None, 1e-5)
    said = [record.message for record in caplog.records if "pairs use the nearest" in record.message]
    assert len(said) == 1
    assert "9 of 9 galaxies" in said[0]
    q = axis_ratio(cutouts.ellipticity)
    apart = (q[:, None] - q).abs() + torch.eye(9)
    for u in (0.0, 0.5, 1.0):
        assert torch.equal(cutouts.alike(torch.arange(9), torch.full((9,), u)), apart.argmin(1))


def test_larger_cutouts_keep_their_surroundings_for_turns(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "lenskit")
    for text, kept in ((str(folder), 48), (f"{folder}?size=47", 46)):
        cutouts, pixels, scale = load_cutouts(text, 24, 0.1)
        assert (pixels, cutouts.images.shape[-1]) == (24, kept)
        assert scale == pytest.approx(0.05)
    assert not [record for record in caplog.records if "do not fill the corners" in record.message]
    load_cutouts(str(folder), 40, 0.1)
    (line,) = [record.message for record in caplog.records if "do not fill the corners" in record.message]
    assert "use pixels=33 or larger cutouts" in line


def test_cutouts_of_several_sizes_are_cropped(draw_galaxies: Galaxies, tmp_path: Path) -> None:
    folder = draw_galaxies(tmp_path / "some", 3)
    image, header = fits.getdata(folder / "g002.fits"), fits.getheader(folder / "g002.fits")
    fits.PrimaryHDU(image[2:-2, 2:-2], header).writeto(folder / "g003.fits")
    cutouts, pixels, _ = load_cutouts(str(folder), 40, 0.3)
    assert (pixels, len(cutouts)) == (40, 4)
    with pytest.raises(UsageError, match="option galaxies: .* use size=44"):
        load_cutouts(str(folder), None, 0.3)


def test_images_without_a_galaxy_in_the_middle_are_left_out(
    draw_galaxies: Galaxies, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = draw_galaxies(tmp_path / "some", 3)
    image, header = fits.getdata(folder / "g001.fits"), fits.getheader(folder / "g001.fits")
    noise = 0.002 * np.random.default_rng(1).standard_normal(image.shape).astype(np.float32)
    fits.PrimaryHDU(noise, header).writeto(folder / "g000a.fits")
    fits.PrimaryHDU(np.roll(image, 15, 1), header).writeto(folder / "g001a.fits")
    caplog.set_level(logging.INFO, "lenskit")
    cutouts, _, _ = load_cutouts(str(folder), None, 0.3)
    assert cutouts.number.tolist() == [0, 2, 4]
    (line,) = [record.message for record in caplog.records if "left out" in record.message]
    assert "2 of 5 images are left out: there is no galaxy in the middle" in line


def test_what_is_wrong_is_one_line(draw_galaxies: Galaxies, tmp_path: Path) -> None:
    folder = draw_galaxies(tmp_path / "three", 3)
    lone = draw_galaxies(tmp_path / "lone", 1)
    plain = tmp_path / "plain"
    plain.mkdir()
    bands = tmp_path / "bands"
    bands.mkdir()
    for number in range(2):
        image = fits.getdata(folder / f"g00{number}.fits")
        fits.PrimaryHDU(image).writeto(plain / f"{number}.fits")
        fits.PrimaryHDU(np.stack([image, image])).writeto(bands / f"{number}.fits")
    wrong = {
        (str(tmp_path / "nowhere"), None): "option galaxies: there are no data at",
        (str(lone), None): "1 image with a galaxy in the middle; at least 2 are needed",
        (str(plain), None): r"is not known: add \?pixel_scale=0.05 to its path",
        (f"{bands}?pixel_scale=0.05", None): "has 2 channels; use images of one band",
        (str(folder), 64): "option pixels: 64, but .* 48 x 48 pixels; it must be at most 48",
        (f"{folder}?size=32", 40): "option pixels: 40, but .* 32 x 32 pixels; it must be at most 32",
    }
    for (text, pixels), message in wrong.items():
        with pytest.raises(UsageError, match=message) as caught:
            load_cutouts(text, pixels, 0.05)
        assert "\n" not in str(caught.value)
