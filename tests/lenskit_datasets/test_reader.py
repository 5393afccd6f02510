"""The option `blank` of every bundled reader: values of undefined pixels."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import tifffile
from astropy.io import fits

from lenskit.component import Component
from lenskit.data.stored import read_lenses
from lenskit.errors import LenskitError, UsageError
from lenskit.evaluation import open_dataset
from lenskit.options import options_of
from lenskit.registry import registry
from lenskit_datasets.lens_challenge_1 import LensChallenge1
from lenskit_datasets.reader import Reader

BLANK = -9999.5
"""Value that is exact in single precision."""


def image() -> np.ndarray:
    """Return an image of 24 x 24 pixels, masked at rows and columns 5 to 8."""
    pixels = np.random.default_rng(2).normal(size=(24, 24)).astype(np.float32)
    pixels[5:9, 5:9] = BLANK
    return pixels


def one_fits(path: Path) -> str:
    fits.writeto(path / "a.fits", image().astype("f8"))
    return f"fits-folder:{path}"


def compressed_fits(path: Path) -> str:
    fits.CompImageHDU(image().astype("f4"), quantize_level=0, compression_type="GZIP_2").writeto(path / "a.fits.fz")
    return f"fits-folder:{path}"


def scaled_fits(path: Path) -> str:
    """Write a file whose pixels are scaled: -9999.5 is stored as 1."""
    stored = np.random.default_rng(2).integers(20000, 20010, (24, 24)).astype("i2")
    stored[5:9, 5:9] = 1
    hdu = fits.PrimaryHDU(stored)
    hdu.writeto(path / "a.fits")
    with fits.open(path / "a.fits", "update", do_not_scale_image_data=True) as hdus:
        hdus[0].header.update({"BSCALE": 0.5, "BZERO": -10000})
    return f"fits-folder:{path}"


def pair_of_fits(path: Path) -> str:
    fits.writeto(path / "a.fits", np.stack([image(), image()], -1))
    return f"lensiam-fits:{path}"


def hdf5(path: Path) -> str:
    with h5py.File(path / "a.h5", "w") as file:
        file["images"] = image()[None]
    return f"hdf5:{path / 'a.h5'}"


def array(path: Path) -> str:
    np.save(path / "a.npy", image()[None])
    return f"deeplense-npy:{path / 'a.npy'}"


def picture(path: Path) -> str:
    tifffile.imwrite(path / "a.tif", image())
    return f"image-folder:{path / 'a.tif'}"


def first_challenge(path: Path) -> str:
    fits.writeto(path / "imageEUC_VIS-100001.fits", image())
    (path / "classifications.csv").write_text("ID,is_lens,Einstein_area\n100001,1,1e-10\n")
    return f"lens-challenge-1:{path}"


def second_challenge(path: Path) -> str:
    fits.writeto(path / "imageEUC_H-200001.fits", image())
    return f'lens-challenge-2:{path}?bands=["H"]'


WRITERS = [
    one_fits, compressed_fits, scaled_fits, pair_of_fits, hdf5, array, picture, first_challenge, second_challenge
]  # fmt: skip


@pytest.mark.parametrize("write", WRITERS)
@pytest.mark.parametrize("blank", ["-9999.5", "[-1,-9999.5]"])
def test_pixels_of_a_value_are_undefined(write: Callable[[Path], str], blank: str, tmp_path: Path) -> None:
    data = write(tmp_path)
    there = open_dataset(data).read([0])[0].numpy()
    assert (there == BLANK).sum() == 16 * there.shape[1]
    dataset = open_dataset(f"{data}{'&' if '?' in data else '?'}blank={blank}")
    dataset.undefined.counts = {}
    filled = read_lenses(dataset, [0], dataset.views)[0].numpy()
    assert dataset.undefined.counts == {dataset.names[0]: 16 * dataset.views}
    np.testing.assert_array_equal(filled != there, there == BLANK)
    assert np.abs(filled - np.median(there)).max() < 10


def bundled_readers() -> list[Component]:
    return [record for record in registry().of_kind("dataset") if record.load().__module__.startswith("lenskit_")]


def test_every_bundled_reader_has_the_option() -> None:
    assert len(bundled_readers()) == 9
    for record in bundled_readers():
        assert issubclass(record.load(), Reader)
        (option,) = (option for option in options_of(record.load()) if option.name == "blank")
        assert option.meaning.startswith("Value of undefined pixels, or several")
        assert option.takes == "float or list[float] or nothing"


def test_another_value_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="option blank takes float or list.float. or nothing, got 'masked'"):
        open_dataset(f"{one_fits(tmp_path)}?blank=masked")


def test_an_image_of_that_value_is_an_error(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.full((1, 8, 8), 3.0))
    with pytest.raises(LenskitError, match=r"a\.npy holds no image: all pixels are undefined"):
        open_dataset(f"{tmp_path / 'a.npy'}?blank=3").read([0])


@pytest.mark.parametrize("draws", [1, 2])
def test_simulated_images_may_have_such_a_value(simulated: Any, tmp_path: Path, draws: int) -> None:
    """Whole chunks are read from a store without a copy; other lenses are copied."""
    path = simulated(tmp_path / "pairs.zarr")
    plain = open_dataset(str(path)).read(range(10))[0].numpy()
    value = plain[3, 0, 0, 2, 2]
    dataset = open_dataset(f"{path}?blank={value!r}".replace("np.float32(", "").replace(")", ""))
    for lenses in (range(4), [3, 0]):
        images = read_lenses(dataset, lenses, draws)[0].numpy()
        assert np.isfinite(images).all()
        wanted = plain[list(lenses), :draws]
        np.testing.assert_array_equal(images[wanted != value], wanted[wanted != value])
        assert (images[wanted == value] != value).all()
    assert not any(complaint for _, complaint in dataset.check())


class TestFirstChallenge:
    """Masked pixels of the images from the ground are 100, others about 1e-12."""

    @pytest.fixture
    def ground(self, tmp_path: Path) -> Path:
        for number, band in enumerate("RIGU", 1):
            (tmp_path / f"Band{number}").mkdir()
            for lens in range(3):
                pixels = 1e-12 * np.random.default_rng(lens).normal(5, 1, (40, 40))
                if (band, lens) == ("U", 1):
                    pixels[:20, :11] = 100
                name = f"imageSDSS_{band}-{100001 + lens}.fits"
                fits.writeto(tmp_path / f"Band{number}" / name, pixels.astype("f4"))
        return tmp_path

    def test_they_are_filled(self, ground: Path, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.INFO)
        images, _ = LensChallenge1(ground).read(range(3))
        assert 0 < images.min() < images.max() < 2e-11
        assert "imageSDSS_U-100002.fits: 220 of 1600 pixels are undefined and are filled" in caplog.text
        np.testing.assert_array_equal(images[:, 0, :3], LensChallenge1(ground, blank=[]).read(range(3))[0][:, 0, :3])

    def test_another_value_takes_the_place_of_100(self, ground: Path) -> None:
        for blank in ([], None, 7.0):
            assert LensChallenge1(ground, blank=blank).read([1])[0].max() == 100
        assert LensChallenge1(ground, blank=[7.0, 100.0], factor=1e9).read([1])[0].max() < 0.02
