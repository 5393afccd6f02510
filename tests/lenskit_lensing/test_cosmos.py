"""The COSMOS catalogue: the public layout written by hand, and a hundred real galaxies."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
import torch
from astropy.io import fits
from astropy.table import Table
from scipy.ndimage import uniform_filter

from lenskit.errors import UsageError
from lenskit_lensing.cosmos import StampSources, load_cosmos

NOISE = 0.01


def cutout(scale: float, size: int = 64, seed: int = 0) -> np.ndarray:
    """A round exponential disc with a peak near one, on a noisy sky."""
    offset = np.arange(size) - (size - 1) / 2
    noise = np.random.default_rng(seed).normal(0, NOISE, (size, size))
    return np.exp(-np.hypot(offset, offset[:, None]) / scale) + noise


def write_release(folder: Path, cutouts: list[np.ndarray], *, files: int = 2, noise: float = NOISE) -> Path:
    """Writes a folder like COSMOS_23.5_training_sample; row i is HDU i // files of file i % files."""
    count = len(cutouts)
    names = [f"real_galaxy_images_23.5_n{1 + i % files}.fits" for i in range(count)]
    table = Table(
        {
            "IDENT": np.arange(100, 100 + count, dtype=np.int32),
            "RA": np.full(count, 150.0),
            "DEC": np.full(count, 2.0),
            "MAG": np.full(count, 22.5),
            "BAND": np.full(count, "F814W"),
            "WEIGHT": np.ones(count),
            "GAL_FILENAME": np.array(names, dtype="S64"),
            "PSF_FILENAME": np.char.replace(names, "images", "PSF_images"),
            "GAL_HDU": np.arange(count, dtype=np.int32) // files,
            "PSF_HDU": np.arange(count, dtype=np.int32) // files,
            "PIXEL_SCALE": np.full(count, 0.03),
            "NOISE_MEAN": np.zeros(count),
            "NOISE_VARIANCE": np.full(count, noise**2),
        }
    )
    catalogue = folder / "real_galaxy_catalog_23.5.fits"
    table.write(catalogue)
    Table({"IDENT": table["IDENT"], "flux_radius": np.ones(count)}).write(folder / "real_galaxy_catalog_23.5_fits.fits")
    Table({"IDENT": table["IDENT"], "dmag": np.zeros(count)}).write(folder / "real_galaxy_catalog_23.5_selection.fits")
    for number in range(files):
        images = [image.astype(np.float32) for image in cutouts[number::files]]
        hdus = fits.HDUList([fits.PrimaryHDU(images[0]), *map(fits.ImageHDU, images[1:])])
        hdus.writeto(folder / f"real_galaxy_images_23.5_n{1 + number}.fits")
    return catalogue


def assert_prepared(sources: StampSources, count: int, size: int) -> None:
    images = sources.images
    assert images.shape == (count, size, size)
    assert images.dtype == torch.float32
    torch.testing.assert_close(images.sum((1, 2)), torch.ones(count), rtol=0, atol=1e-5)
    assert (images >= 0).all()
    assert not images[:, [0, -1]].any()
    assert not images[:, :, [0, -1]].any()
    position = torch.arange(size) - (size - 1) / 2
    for axis in (1, 2):
        assert (images.sum(axis) @ position).abs().max() < 0.01
    assert sources.half_light.shape == (count,)


def test_the_public_layout_is_read_in_the_catalogues_order(tmp_path: Path) -> None:
    scales = [6.0, 3.0, 5.0, 2.0, 4.0]
    write_release(tmp_path, [cutout(scale, seed=i) for i, scale in enumerate(scales)], files=2)
    sources = load_cosmos(tmp_path)
    assert_prepared(sources, 5, 128)
    # An exponential disc's radius. The smallest come out up to a tenth larger: the faintest light is smoothed.
    np.testing.assert_allclose(sources.half_light, 1.678 * np.array(scales), rtol=0.1)


def test_the_path_of_the_table_and_another_size_do_as_well(tmp_path: Path) -> None:
    catalogue = write_release(tmp_path, [cutout(5.0), cutout(6.0)], files=1)
    full, shrunk = load_cosmos(str(catalogue)), load_cosmos(catalogue, size=32)
    assert_prepared(shrunk, 2, 32)
    assert (shrunk.half_light < 0.8 * full.half_light).all()


def test_cuts_are_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with_nan, off_centre = cutout(4.0), np.roll(cutout(2.0, 100), (35, -35), (0, 1))
    with_nan[3, 3] = np.nan
    write_release(tmp_path, [cutout(3.0, 40), 0.1 * cutout(3.0), with_nan, off_centre, cutout(4.0)], files=1)
    with caplog.at_level(logging.INFO):
        assert len(load_cosmos(tmp_path).images) == 1
    (record,) = caplog.records
    assert (
        "1 of 5 galaxies; left out 1 smaller than 50 pixels, 1 with noise of 0.05 of the maximum or more,"
        " 1 with NaN pixels, 1 with no galaxy in the middle"
    ) in record.message
    assert len(load_cosmos(tmp_path, min_pixels=40, max_noise=0.2).images) == 3


def test_nothing_left_is_an_error_that_counts(tmp_path: Path) -> None:
    broken = np.full((64, 64), np.nan)
    write_release(tmp_path, [cutout(3.0, 40), broken, 0.1 * cutout(3.0)], files=1)
    with pytest.raises(UsageError, match=r"none of 3 .*1 smaller than 50 .*1 with noise .*1 with NaN") as error:
        load_cosmos(tmp_path)
    assert "\n" not in str(error.value)


def test_unknown_noise_does_not_pass_the_cut(tmp_path: Path) -> None:
    write_release(tmp_path, [cutout(4.0)], files=1, noise=np.nan)
    with pytest.raises(UsageError, match="1 with noise"):
        load_cosmos(tmp_path)


def test_a_folder_without_a_catalogue_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no COSMOS catalogue here; .*GAL_FILENAME"):
        load_cosmos(tmp_path)
    write_release(tmp_path, [cutout(4.0)], files=1).unlink()
    with pytest.raises(UsageError, match="no COSMOS catalogue here"):
        load_cosmos(tmp_path)


def test_two_catalogues_in_a_folder_are_an_error(tmp_path: Path) -> None:
    catalogue = write_release(tmp_path, [cutout(4.0)], files=1)
    (tmp_path / "real_galaxy_catalog_25.2.fits").write_bytes(catalogue.read_bytes())
    with pytest.raises(UsageError, match=r"several catalogues here \(real_galaxy_catalog_23\.5\.fits, real"):
        load_cosmos(tmp_path)
    assert len(load_cosmos(catalogue).images) == 1


def test_a_missing_image_file_is_an_error(tmp_path: Path) -> None:
    write_release(tmp_path, [cutout(4.0) for _ in range(5)], files=2)
    (tmp_path / "real_galaxy_images_23.5_n2.fits").unlink()
    with pytest.raises(UsageError, match=r"2 of its 5 galaxies .*such as real_galaxy_images_23\.5_n2\.fits"):
        load_cosmos(tmp_path)


def test_a_missing_hdu_is_an_error(tmp_path: Path) -> None:
    write_release(tmp_path, [cutout(4.0) for _ in range(3)], files=1)
    path = tmp_path / "real_galaxy_images_23.5_n1.fits"
    with fits.open(path) as hdus:
        fits.HDUList([hdu.copy() for hdu in hdus[:2]]).writeto(path, overwrite=True)
    with pytest.raises(UsageError, match=r"row 2 names HDU 2 of real_galaxy_images_23\.5_n1\.fits"):
        load_cosmos(tmp_path)


def test_tiny_sizes_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="min_pixels=8, size=128: at least 16"):
        load_cosmos(tmp_path, min_pixels=8)


# A hundred real galaxies


def test_the_default_cuts_leave_eight_of_the_real_galaxies(real_data: Path) -> None:
    assert_prepared(load_cosmos(real_data / "cosmos"), 8, 128)


def test_real_galaxies_keep_their_size(real_data: Path) -> None:
    """Beside SExtractor's FLUX_RADIUS of the whole sample."""
    sources = load_cosmos(real_data / "cosmos", min_pixels=16, max_noise=0.3, size=192)
    assert_prepared(sources, len(sources.images), 192)
    folder = real_data / "cosmos"
    table = fits.getdata(folder / "real_galaxy_catalog_26_extension_example_fits.fits", 1)
    rows = fits.getdata(folder / "real_galaxy_catalog_26_extension_example.fits", 1)
    with fits.open(folder / "real_galaxy_images_extension.fits") as hdus:
        peaks = np.array([hdus[int(number)].data.max() for number in rows["GAL_HDU"]])
    passed = np.sqrt(rows["NOISE_VARIANCE"]) < 0.3 * peaks
    assert passed.sum() == len(sources.images)
    ratio = sources.half_light.numpy() / table["flux_radius"][passed]
    assert 0.95 < np.median(ratio) < 1.1
    assert np.mean(abs(ratio - 1) < 0.25) > 0.85


def test_real_galaxies_lose_their_noise(real_data: Path) -> None:
    """Pixel-to-pixel differences, and what is left around the galaxies."""
    sources = load_cosmos(real_data / "cosmos")
    folder = real_data / "cosmos"
    rows = fits.getdata(folder / "real_galaxy_catalog_26_extension_example.fits", 1)
    sigma = np.sqrt(rows["NOISE_VARIANCE"])
    with fits.open(folder / "real_galaxy_images_extension.fits") as hdus:
        raw = [hdus[int(number)].data.astype(float) for number in rows["GAL_HDU"]]
    chosen = [i for i, image in enumerate(raw) if min(image.shape) >= 50 and sigma[i] < 0.05 * image.max()]

    def graininess(image: np.ndarray, faint: np.ndarray) -> float:
        return float(np.std((image - uniform_filter(image, 3))[faint]))

    for i, prepared in zip(chosen, sources.images.double().numpy(), strict=True):
        image = raw[i] - np.median(raw[i][[0, -1]])
        prepared = prepared * uniform_filter(image, 3).max() / uniform_filter(prepared, 3).max()
        faint_before = abs(uniform_filter(image, 9)) < 3 * sigma[i]
        faint_after = (prepared > 0) & (prepared < 3 * sigma[i])
        assert graininess(prepared, faint_after) < 0.2 * graininess(image, faint_before)
