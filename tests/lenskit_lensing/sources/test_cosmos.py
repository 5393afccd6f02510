"""COSMOS catalogue: hand-written files in the public layout, 100 real galaxies."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
import torch
from astropy.io import fits
from astropy.table import Table
from scipy.ndimage import uniform_filter

from lenskit.errors import LenskitError, UsageError
from lenskit_lensing.sources.cosmos import load_cosmos
from lenskit_lensing.sources.stamp_sources import SIZE, StampSources

NOISE = 0.01


def cutout(scale: float, size: int = 64, seed: int = 0) -> np.ndarray:
    """Round exponential disc with a peak near one, on a noisy sky."""
    offset = np.arange(size) - (size - 1) / 2
    noise = np.random.default_rng(seed).normal(0, NOISE, (size, size))
    return np.exp(-np.hypot(offset, offset[:, None]) / scale) + noise


def write_release(
    folder: Path, cutouts: list[np.ndarray], *, files: int = 2, noise: float = NOISE, sample: str = "23.5"
) -> Path:
    """Write a folder like COSMOS_23.5_training_sample.

    Row i is HDU i // files of file i % files.
    """
    count = len(cutouts)
    names = [f"real_galaxy_images_{sample}_n{1 + i % files}.fits" for i in range(count)]
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
    catalogue = folder / f"real_galaxy_catalog_{sample}.fits"
    table.write(catalogue)
    fitted = Table({"IDENT": table["IDENT"], "flux_radius": np.ones(count)})
    fitted.write(folder / f"real_galaxy_catalog_{sample}_fits.fits")
    criteria = {
        "sn_ellip_gauss": np.where(np.arange(count) % 3, 15.0, 30.0),
        "min_mask_dist_pixels": np.where(np.arange(count) % 2, 5.0, 20.0),
        "average_mask_adjacent_pixel_count": np.full(count, 0.5),
        "peak_image_pixel_count": np.ones(count),
        "dmag": np.zeros(count),
    }
    Table({"IDENT": table["IDENT"]} | criteria).write(folder / f"real_galaxy_catalog_{sample}_selection.fits")
    for number in range(files):
        images = [image.astype(np.float32) for image in cutouts[number::files]]
        hdus = fits.HDUList([fits.PrimaryHDU(images[0]), *map(fits.ImageHDU, images[1:])])
        hdus.writeto(folder / f"real_galaxy_images_{sample}_n{1 + number}.fits")
    return catalogue


def assert_prepared(sources: StampSources, count: int, size: int) -> None:
    images = sources.images.double()
    assert images.shape == (count, size, size)
    assert sources.images.dtype == torch.float16
    assert torch.equal(images.amax((1, 2)), torch.ones(count, dtype=torch.float64))
    torch.testing.assert_close(images.sum((1, 2)).float(), sources.flux)
    assert (images >= 0).all()
    assert not images[:, [0, -1]].any()
    assert not images[:, :, [0, -1]].any()
    position = torch.arange(size) - (size - 1) / 2
    for axis in (1, 2):
        assert (images.sum(axis) @ position.double() / sources.flux).abs().max() < 0.02
    assert sources.half_light.shape == (count,)
    assert sources.rows.shape == (count,)


@pytest.mark.parametrize("sample", ["23.5", "25.2"])
def test_the_public_layout_is_read_file_by_file(tmp_path: Path, sample: str) -> None:
    scales = np.array([6.0, 3.0, 5.0, 2.0, 4.0])
    write_release(tmp_path, [cutout(scale, seed=i) for i, scale in enumerate(scales)], files=2, sample=sample)
    sources = load_cosmos(tmp_path)
    assert_prepared(sources, 5, SIZE)
    assert sources.rows.tolist() == [0, 2, 4, 1, 3]
    # Radii of exponential discs. The smallest are up to a tenth too large: the faintest light is smoothed.
    np.testing.assert_allclose(sources.half_light, 1.678 * scales[sources.rows], rtol=0.1)


@pytest.mark.slow
def test_files_of_many_cutouts_are_read_in_parts(tmp_path: Path) -> None:
    """A part has 1000 cutouts; most of these are too small to be prepared."""
    galaxies = [cutout(3 + i / 4) for i in range(7)]
    few, many = tmp_path / "few", tmp_path / "many"
    few.mkdir()
    many.mkdir()
    write_release(few, galaxies, files=1)
    write_release(many, [*galaxies[:4], *[np.zeros((4, 4))] * 1000, *galaxies[4:]], files=1)
    in_parts = load_cosmos(many)
    assert in_parts.rows.tolist() == [0, 1, 2, 3, 1004, 1005, 1006]
    assert torch.equal(in_parts.images, load_cosmos(few).images)


def test_the_path_of_the_table_and_another_size_do_as_well(tmp_path: Path) -> None:
    catalogue = write_release(tmp_path, [cutout(5.0), cutout(6.0)], files=1)
    full, shrunk = load_cosmos(str(catalogue)), load_cosmos(catalogue, size=32)
    assert_prepared(shrunk, 2, 32)
    assert (shrunk.half_light < 0.8 * full.half_light).all()


@pytest.mark.parametrize(("sample", "expected"), [("23.5", [0, 6]), ("25.2", [0, 2, 4, 6, 1, 3, 5])])
def test_suspect_stamps_are_left_out_on_request(tmp_path: Path, sample: str, expected: list[int]) -> None:
    """Rows differ in signal to noise and in the distance of a mask.

    The signal to noise is 30, 15, 15, 30, ...; a mask half as bright as the galaxy is 20, 5, 20, ... pixels away.
    """
    catalogue = write_release(tmp_path, [cutout(4.0) for _ in range(7)], sample=sample)
    assert len(load_cosmos(tmp_path).rows) == 7
    assert load_cosmos(tmp_path, good_stamps=True).rows.tolist() == expected
    selection = catalogue.with_name(f"{catalogue.stem}_selection.fits")
    Table({"IDENT": np.arange(7)}).write(selection, overwrite=True)
    with pytest.raises(UsageError, match=r"_selection.fits: it must have 7 rows of sn_ellip_gauss, "):
        load_cosmos(tmp_path, good_stamps=True)
    selection.unlink()
    with pytest.raises(UsageError, match=r"_selection.fits: no such file"):
        load_cosmos(tmp_path, good_stamps=True)


def test_cuts_are_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with_nan, off_centre = cutout(4.0), np.roll(cutout(2.0, 100), (35, -35), (0, 1))
    with_nan[3, 3] = np.nan
    write_release(tmp_path, [cutout(3.0, 40), 0.1 * cutout(3.0), with_nan, off_centre, cutout(4.0)], files=1)
    with caplog.at_level(logging.INFO):
        assert len(load_cosmos(tmp_path).images) == 1
    (record,) = [record for record in caplog.records if "left out" in record.message]
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


def without_the_last(folder: Path) -> None:
    """Remove the last HDU from the only file of a release."""
    path = folder / "real_galaxy_images_23.5_n1.fits"
    with fits.open(path) as hdus:
        fits.HDUList([hdu.copy() for hdu in hdus[:-1]]).writeto(path, overwrite=True)


def test_a_missing_hdu_is_an_error(tmp_path: Path) -> None:
    write_release(tmp_path, [cutout(4.0) for _ in range(3)], files=1)
    without_the_last(tmp_path)
    with pytest.raises(UsageError, match=r"row 2 names HDU 2 of real_galaxy_images_23\.5_n1\.fits"):
        load_cosmos(tmp_path)


@pytest.mark.slow
def test_one_missing_hdu_of_many_is_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """All stamps but the first are too small to be prepared."""
    write_release(tmp_path, [cutout(4.0), *[np.zeros((4, 4))] * 119], files=1)
    without_the_last(tmp_path)
    assert load_cosmos(tmp_path).rows.tolist() == [0]
    (record,) = (record for record in caplog.records if record.levelname == "WARNING")
    assert "1 stamps are missing and left out; the first: row 119 names HDU 119 of real_g" in record.message


def test_what_is_no_image_file_is_an_error(tmp_path: Path) -> None:
    write_release(tmp_path, [cutout(4.0)], files=1)
    (tmp_path / "real_galaxy_images_23.5_n1.fits").write_text("no FITS")
    with pytest.raises(LenskitError, match=r"real_galaxy_images_23.5_n1.fits cannot be read as FITS") as error:
        load_cosmos(tmp_path)
    assert "\n" not in str(error.value)


def test_tiny_sizes_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="min_pixels=8, size=96: both must be at least 16"):
        load_cosmos(tmp_path, min_pixels=8)


# 100 real galaxies


def test_the_default_cuts_leave_eight_of_the_real_galaxies(real_data: Path) -> None:
    assert_prepared(load_cosmos(real_data / "cosmos"), 8, SIZE)


@pytest.mark.slow
def test_real_galaxies_keep_their_size(real_data: Path) -> None:
    """Compare with SExtractor's FLUX_RADIUS of the whole sample."""
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


@pytest.mark.slow
def test_images_of_the_usual_size_lose_no_detail(real_data: Path) -> None:
    """Few images are shrunk, and these have more pixels in their radius than most.

    The comparison uses images that are large enough for all galaxies.
    """
    cuts = {"min_pixels": 50, "max_noise": 0.3}
    usual, large = (load_cosmos(real_data / "cosmos", **cuts, size=size) for size in (SIZE, 192))
    shrunk = usual.half_light < 0.99 * large.half_light
    assert 0 < shrunk.float().mean() < 0.1
    assert usual.half_light[shrunk].min() > usual.half_light.median()


def test_real_galaxies_lose_their_noise(real_data: Path) -> None:
    """Pixels in faint regions differ less from their surroundings."""
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
