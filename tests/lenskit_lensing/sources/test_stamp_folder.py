"""Folders of users' stamps."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
import torch
from astropy.io import fits

from lenskit.errors import UsageError
from lenskit_lensing.simulators.hst import HST, normalised
from lenskit_lensing.sources.stamp_folder import load_stamps
from lenskit_lensing.sources.stamp_sources import SIZE

torch.set_num_threads(1)


def disc(scale: float, shape: tuple[int, int] = (50, 50)) -> np.ndarray:
    """Exponential disc on an empty sky."""
    y, x = (np.arange(length) - (length - 1) / 2 for length in shape)
    image = np.exp(-np.hypot(x, y[:, None]) / scale)
    return np.where(image > 0.01, image, 0)


def noisy(scale: float) -> np.ndarray:
    return disc(scale, (64, 64)) + np.random.default_rng(0).normal(0.3, 0.01, (64, 64))


def test_files_of_all_kinds_are_read_in_the_order_of_their_names(tmp_path: Path) -> None:
    scales = [2.0, 2.5, 3.0, 3.5, 4.0, 4.5, 5.0, 5.5]
    one, *rest = (disc(scale) for scale in scales)
    np.save(tmp_path / "a.npy", one.astype(">f4"))
    np.save(tmp_path / "b.npy", np.stack(rest[:2]))
    np.savez(tmp_path / "c.npz", first=rest[2], second=np.stack(rest[3:5]))
    hdus = fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(1e-12 * rest[5]), fits.ImageHDU(rest[6][None])])
    hdus.append(fits.BinTableHDU.from_columns([fits.Column("x", "D", array=[1.0])]))
    hdus.writeto(tmp_path / "d.fits")
    (tmp_path / "readme.txt").write_text("not a stamp")
    sources = load_stamps(tmp_path, clean=True)
    assert sources.images.shape == (8, SIZE, SIZE)
    assert sources.rows.tolist() == list(range(8))
    for image, radius, flux, scale in zip(sources.images, sources.half_light, sources.flux, scales, strict=True):
        expected = np.pad(disc(scale), (SIZE - 50) // 2)
        np.testing.assert_allclose(image.double(), expected / expected.max(), atol=5e-4)
        np.testing.assert_allclose(flux, expected.sum() / expected.max(), rtol=1e-3)
        inside = np.hypot(*(np.indices(expected.shape) - (SIZE - 1) / 2)) < float(radius)
        assert expected[inside].sum() / expected.sum() == pytest.approx(0.5, abs=0.06)


@pytest.mark.slow
def test_one_file_is_enough_and_stacks_are_read_in_parts(tmp_path: Path) -> None:
    """A part has 256 images."""
    stack = np.zeros((520, 50, 50))
    good = [0, 1, 255, 256, 257, 511, 512, 519]
    stack[good] = [disc(2 + i / 4) for i in range(8)]
    stack[300] = np.nan
    np.save(tmp_path / "stack.npy", stack)
    sources = load_stamps(tmp_path / "stack.npy", clean=True)
    assert sources.rows.tolist() == good
    assert (sources.half_light.diff() > 0).all()


def test_sky_and_noise_are_taken_out_unless_there_are_none(tmp_path: Path) -> None:
    np.save(tmp_path / "galaxy.npy", noisy(4.0))
    cleaned, as_it_is = load_stamps(tmp_path), load_stamps(tmp_path, clean=True)
    assert 0.85 < cleaned.half_light / (1.678 * 4) < 1.05
    assert as_it_is.half_light > 1.5 * cleaned.half_light
    assert (cleaned.images == 0).float().mean() > 0.6


def test_shapes_sizes_and_what_is_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    np.save(tmp_path / "1.npy", disc(3.0, (40, 70)))
    np.save(tmp_path / "2.npy", disc(12.0, (150, 120)))
    np.save(tmp_path / "3.npy", np.where(disc(3.0) > 0.7, np.nan, disc(3.0)))
    np.save(tmp_path / "4.npy", disc(1.0, (12, 40)))
    np.save(tmp_path / "5.npy", -disc(3.0))
    np.save(tmp_path / "6.npy", (1000 * disc(3.0)).astype(np.uint16))
    with caplog.at_level(logging.INFO, logger="lenskit"):
        sources = load_stamps(tmp_path, clean=True)
    assert sources.rows.tolist() == [0, 1, 5]
    assert "3 of 6 galaxies; left out 1 smaller than 16 pixels, 1 with NaN pixels, 1 with no light" in caplog.text
    assert not sources.images[:, [0, -1]].any()
    assert not sources.images[:, :, [0, -1]].any()


def test_nothing_to_see_is_an_error(tmp_path: Path) -> None:
    np.save(tmp_path / "dark.npy", np.zeros((30, 30)))
    with pytest.raises(UsageError, match=r"none of 1 galaxies is left .*1 with no light"):
        load_stamps(tmp_path, clean=True)
    with pytest.raises(UsageError, match=r"none of 1 galaxies is left .*1 with no galaxy in the middle"):
        load_stamps(tmp_path)


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        ("a.npy", b"no array", "no image can be read"),
        ("a.npz", b"no archive", "no image can be read"),
        ("a.fits", b"no FITS", "no image can be read"),
        ("a.npy", np.zeros(5), r"a float64 array of shape \(5,\); it must have numbers, \(height, width\) or a stack"),
        ("a.npy", np.zeros((0, 20, 20)), r"shape \(0, 20, 20\)"),
        ("a.npy", np.zeros((20, 20), dtype=complex), "a complex128 array"),
        ("a.npy", np.array([["x"]]), r"a <U1 array"),
        ("a.npy", np.array([{}]), "no image can be read"),
    ],
)
def test_what_is_no_image_is_an_error(tmp_path: Path, name: str, content: bytes | np.ndarray, complaint: str) -> None:
    if isinstance(content, bytes):
        (tmp_path / name).write_bytes(content)
    else:
        np.save(tmp_path / name, content)
    with pytest.raises(UsageError, match=complaint) as error:
        load_stamps(tmp_path)
    assert str(tmp_path / name) in str(error.value)
    assert "\n" not in str(error.value)


def test_a_table_is_no_image(tmp_path: Path) -> None:
    fits.BinTableHDU.from_columns([fits.Column("x", "D", array=[1.0])]).writeto(tmp_path / "a.fits")
    with pytest.raises(UsageError, match="a.fits: no image can be read"):
        load_stamps(tmp_path)


def test_folders_without_images_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no images here; their files must end in .fits, "):
        load_stamps(tmp_path)
    with pytest.raises(UsageError, match="no such folder"):
        load_stamps(tmp_path / "nowhere")
    with pytest.raises(UsageError, match="size=8: it must be at least 16"):
        load_stamps(tmp_path, size=8)


@pytest.mark.filterwarnings("ignore:`axes` should not be `None`:DeprecationWarning:lenstronomy")
def test_a_simulator_takes_them_and_both_renderers_agree(tmp_path: Path) -> None:
    np.save(tmp_path / "two.npy", np.stack([disc(3.0), disc(5.0)]))
    options = {"stamps": str(tmp_path), "stamps_clean": True, "cosmos_fraction": 1.0}
    fast, reference = HST(**options), HST(**options, renderer="lenstronomy")
    scene = fast.scene(0, "train", torch.arange(8), dtype=torch.float64)
    assert set(scene["source_stamp"].tolist()) == {0, 1}
    ours, theirs = (normalised(simulator.renderer(scene)[0]) for simulator in (fast, reference))
    assert (ours - theirs).abs().max() < 1e-8


def test_a_catalogue_and_a_folder_at_once_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cosmos and stamps are both given"):
        HST(cosmos=str(tmp_path), stamps=str(tmp_path))


def test_endings_in_capitals_and_what_macos_leaves_behind(tmp_path: Path) -> None:
    fits.writeto(tmp_path / "a.FTS", disc(3.0))
    counts = (1000 * disc(4.0)).astype("u2")
    hdu = fits.PrimaryHDU(counts)
    hdu.writeto(tmp_path / "b.FITS")
    np.savez(tmp_path / "c.npz", disc(5.0))
    (tmp_path / "c.npz").rename(tmp_path / "c.NPZ")
    (tmp_path / "._a.FTS").write_bytes(b"x")
    assert load_stamps(tmp_path, clean=True).rows.tolist() == [0, 1, 2]


def test_undefined_pixels_of_unsigned_integers_leave_a_stamp_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "lenskit")
    for name, undefined in (("a", False), ("b", True)):
        counts = (1000 * disc(4.0)).astype("u2")
        counts[3, 3] = 65535 if undefined else 0
        hdu = fits.PrimaryHDU(counts)
        hdu.header["BLANK"] = 32767
        hdu.writeto(tmp_path / f"{name}.fits")
    assert load_stamps(tmp_path, clean=True).rows.tolist() == [0]
    assert "1 with NaN pixels" in caplog.text
