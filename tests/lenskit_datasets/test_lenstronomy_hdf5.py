"""HDF5 files of lenstronomy and dolphin.

The reference of coordinates is lenstronomy's `PixelGrid`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from lenstronomy.Data.pixel_grid import PixelGrid

from lenskit.errors import LenskitError, UsageError
from lenskit.testing import DatasetContract
from lenskit_datasets.lenstronomy_hdf5 import LenstronomyHdf5, rotation

SCALE = 0.05
PIXELS = 40
SPOT = (0.5, 0.2)
"""Position of a spot in arcsec, in lenstronomy's angles."""


def grid(transform: np.ndarray, pixels: int = PIXELS) -> PixelGrid:
    """Return lenstronomy's grid whose centre is the origin of the angles."""
    ra, dec = -transform @ np.full(2, (pixels - 1) / 2)
    return PixelGrid(pixels, pixels, transform, ra, dec)


def write(file: Path, transform: np.ndarray, pixels: int = PIXELS, **more: Any) -> np.ndarray:
    """Write a spot, as dolphin does, and return its image."""
    file.parent.mkdir(parents=True, exist_ok=True)
    x, y = grid(transform, pixels).pixel_coordinates
    image = np.exp(-((x - SPOT[0]) ** 2 + (y - SPOT[1]) ** 2) / (2 * 0.1**2)) + 1e-4 * np.cos(40 * x) * np.sin(30 * y)
    with h5py.File(file, "w") as items:
        ra, dec = -transform @ np.full(2, (pixels - 1) / 2)
        for name, value in {
            "image_data": image, "transform_pix2angle": transform, "ra_at_xy_0": ra, "dec_at_xy_0": dec, **more,
        }.items():  # fmt: skip
            items[name] = value
    return image


def turned(degrees: float, mirrored: bool = False, scale: float = SCALE) -> np.ndarray:
    """Return the matrix from pixels to angles of a mirrored and turned image."""
    a = np.radians(degrees)
    return scale * np.array([[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]]) @ np.diag([-1 if mirrored else 1, 1])


class TestLenstronomyHdf5(DatasetContract):
    component = "lenstronomy-hdf5"

    def write(self, folder: Path) -> Path:
        for number in range(3):
            exposure = np.full((PIXELS, PIXELS), 1200.0)
            exposure[3, 4] = 0
            write(
                folder / f"image_L{number}_F814W.h5", turned(90 * number), background_rms=0.01, exposure_time=exposure
            )
            with h5py.File(folder / f"psf_L{number}_F814W.h5", "w") as items:
                items["kernel_point_source"] = np.ones((3, 3))
        (folder / "labels.csv").write_text("name,theta_E_arcsec\nL0_F814W,1.1\nL1_F814W,\nL2_F814W,0.9\n")
        return folder


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
def test_images_have_the_axes_of_the_angles(degrees: int, mirrored: bool, tmp_path: Path) -> None:
    write(tmp_path / "image_a_b.h5", turned(degrees, mirrored))
    reference = write(tmp_path / "reference.h5", turned(0))
    image = LenstronomyHdf5(tmp_path / "image_a_b.h5").read([0])[0][0, 0, 0].numpy()
    np.testing.assert_allclose(image, reference, atol=1e-6)
    row, column = np.unravel_index(image.argmax(), image.shape)
    x, y = grid(turned(0)).pixel_coordinates
    assert abs(x[row, column] - SPOT[0]) <= SCALE / 2
    assert abs(y[row, column] - SPOT[1]) <= SCALE / 2


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("degrees", [-30, 3, 92, 200])
def test_a_rotation_is_told(degrees: int, mirrored: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    remaining = (degrees + 45) % 90 - 45
    assert rotation(turned(degrees, mirrored)) == pytest.approx(remaining)
    write(tmp_path / "image_a_b.h5", turned(degrees, mirrored))
    LenstronomyHdf5(tmp_path)
    assert f"such as those of image_a_b.h5 by {remaining:.1f} degrees" in caplog.text


def test_names_scale_and_noise_come_from_the_file(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write(tmp_path / "J0008" / "image_J0008_F814W.h5", turned(180), background_rms=0.01, exposure_time=2000.0)
    write(tmp_path / "J0037" / "image_J0037_F814W.h5", turned(0), background_rms=0.02, exposure_time=1000.0)
    dataset = LenstronomyHdf5(tmp_path)
    assert dataset.names == ["J0008_F814W", "J0037_F814W"]
    assert dataset.pixel_scale == pytest.approx(SCALE)
    values = dataset.read_parameters([1, 0])
    assert values["background_rms"].tolist() == pytest.approx([0.02, 0.01])
    assert values["exposure_time"].tolist() == [1000, 2000]
    assert caplog.text == ""


def test_pixels_without_exposure_are_filled(tmp_path: Path) -> None:
    exposure = np.full((PIXELS, PIXELS), 500.0)
    exposure[10, 12] = 0
    whole = write(tmp_path / "image_a.h5", turned(0), exposure_time=exposure)
    with h5py.File(tmp_path / "image_a.h5", "r+") as items:
        items["image_data"][10, 12] = 1e6
    dataset = LenstronomyHdf5(tmp_path)
    image = dataset.read([0])[0][0, 0, 0].numpy()
    assert abs(image[10, 12] - whole[10, 12]) < 1e-3
    assert dataset.read_parameters([0])["exposure_time"].tolist() == [500]


def test_mixed_pixel_scales_need_a_common_one(tmp_path: Path) -> None:
    write(tmp_path / "image_a.h5", turned(0))
    write(tmp_path / "image_b.h5", turned(0, scale=0.1))
    with pytest.raises(UsageError, match="use resample=0.1"):
        LenstronomyHdf5(tmp_path, size=20)
    dataset = LenstronomyHdf5(tmp_path, size=20, resample=0.1)
    assert dataset.pixel_scale == 0.1
    x, y = grid(turned(0, scale=0.1), 20).pixel_coordinates
    for image in dataset.read([0, 1])[0][:, 0, 0].numpy():
        assert image.sum() * 0.1**2 == pytest.approx(2 * np.pi * 0.1**2, rel=0.02)
        assert ((image * x).sum() / image.sum(), (image * y).sum() / image.sum()) == pytest.approx(SPOT, abs=0.005)


def damaged(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:600])


def of_text(file: Path) -> None:
    with h5py.File(file, "r+") as items:
        del items["image_data"]
        items["image_data"] = "no pixels"


def cube(file: Path) -> None:
    with h5py.File(file, "r+") as items:
        del items["image_data"]
        items["image_data"] = np.ones((2, 8, 8))


def stretched(file: Path) -> None:
    with h5py.File(file, "r+") as items:
        items["transform_pix2angle"][...] = [[0.05, 0], [0, 0.1]]


def flat(file: Path) -> None:
    with h5py.File(file, "r+") as items:
        items["image_data"][...] = 1


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (damaged, "cannot be read"),
        (of_text, "image_data has"),
        (cube, "image_data has 3 axes; it must have 2"),
        (stretched, "no square grid"),
        (flat, "holds no image: all good pixels are 1"),
    ],
)
def test_a_fault_names_the_file(harm: Any, message: str, tmp_path: Path) -> None:
    file = tmp_path / "image_a.h5"
    write(file, turned(0))
    harm(file)
    with pytest.raises(LenskitError, match=rf"image_a\.h5.*{message}"):
        LenstronomyHdf5(file).read([0])


def test_a_folder_without_such_files_is_told(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "psf.h5", "w") as items:
        items["kernel_point_source"] = np.ones((3, 3))
    assert not LenstronomyHdf5.recognises(tmp_path)
    with pytest.raises(UsageError, match="no file that ends in .h5 or .hdf5 in .* has image_data"):
        LenstronomyHdf5(tmp_path)
