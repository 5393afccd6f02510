"""DeepLense's layouts: arrays of many images, and a folder per class."""

from __future__ import annotations

import os
import resource
from pathlib import Path

import numpy as np
import pytest
import torch
from astropy.io import fits
from PIL import Image

from lenskit.data.readers import find_reader, open_dataset
from lenskit.errors import LenskitError, UsageError
from lenskit_datasets.deeplense_npy import DeepLenseNpy

CLASSES = ("no_sub", "sphere", "vortex")


def pixels(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random(shape).astype(np.float32)


def save(path: Path, array: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, array)
    return path


SHAPES = {
    "nhw": ((6, 10, 10), (1, 10, 10)),
    "nchw": ((6, 3, 10, 10), (3, 10, 10)),
    "bnchw": ((2, 3, 1, 10, 10), (1, 10, 10)),
}


@pytest.mark.parametrize("axes", SHAPES)
@pytest.mark.parametrize("kind", ["f4", ">f4", ">f8", "u1"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_a_file_a_class(tmp_path: Path, axes: str, kind: str, order: str) -> None:
    stored, shape = SHAPES[axes]
    arrays = [np.asarray(200 * pixels(*stored, seed=i), kind, order=order) for i in range(3)]  # type: ignore[call-overload]
    for name, array in zip(CLASSES, arrays, strict=True):
        save(tmp_path / f"{name}.npy", array)
    assert find_reader(str(tmp_path)) == ("deeplense-npy", tmp_path)
    data = open_dataset(str(tmp_path))
    assert (len(data), data.image_shape, data.views, data.names[7]) == (18, shape, 1, "sphere/1")
    (label,) = data.parameters
    assert (label.name, label.classes) == ("class", CLASSES)
    images, values = data.read([17, 0, 7, 6])
    expected = np.concatenate([array.reshape(6, *shape) for array in arrays]).astype(np.float32)
    np.testing.assert_array_equal(images[:, 0], expected[[17, 0, 7, 6]])
    assert values["class"].tolist() == [2, 0, 1, 1]


def test_a_folder_a_class(tmp_path: Path) -> None:
    """Later releases have one array per image and file."""
    for number, name in enumerate(CLASSES):
        for i in range(2):
            save(tmp_path / name / f"{i}.npy", pixels(1, 10, 10, seed=10 * number + i))
    data = open_dataset(str(tmp_path), label="substructure", classes=["vortex", "no_sub"], size=6)
    assert (data.parameters[0].name, data.parameters[0].classes) == ("substructure", ("vortex", "no_sub"))
    assert data.names == ["no_sub/0", "no_sub/1", "vortex/0", "vortex/1"]
    images, values = data.read([3, 1])
    np.testing.assert_array_equal(images[0, 0], pixels(1, 10, 10, seed=21)[:, 2:8, 2:8])
    assert values["substructure"].tolist() == [0, 1]
    only = DeepLenseNpy(tmp_path, classes=["no_sub"])  # the training set of an anomaly detector
    assert (len(only), only.read_parameters([0])["class"].tolist()) == (2, [0])


def test_a_folder_of_arrays_a_class(tmp_path: Path) -> None:
    for name in CLASSES:
        save(tmp_path / name / "data.npy", pixels(5, 10, 10))
    data = DeepLenseNpy(tmp_path)
    assert (len(data), data.parameters[0].classes) == (15, CLASSES)


def test_models_of_classes_are_asked_for_the_level_of_the_class(tmp_path: Path) -> None:
    for model in ("Model_A", "Model_B"):
        for name in CLASSES:
            save(tmp_path / "arrays" / model / f"{name}.npy", pixels(5, 10, 10))
            for number in range(2):
                save(tmp_path / "files" / model / name / f"{number}.npy", pixels(1, 10, 10))
    with pytest.raises(
        UsageError, match=r"which level.*Model_A/no_sub/0.npy: use pattern=Model_A/\*/\* if it is no_sub"
    ):
        DeepLenseNpy(tmp_path / "files")
    assert DeepLenseNpy(tmp_path / "files", pattern="Model_A/*/*").parameters[0].classes == CLASSES
    arrays = tmp_path / "arrays"
    with pytest.raises(
        UsageError, match=r"which level.*: open .*/Model_A if it is no_sub.npy, use pattern=\*/\* if it is"
    ):
        DeepLenseNpy(arrays)
    assert DeepLenseNpy(arrays / "Model_A").parameters[0].classes == CLASSES
    assert DeepLenseNpy(arrays, pattern="*/*").parameters[0].classes == ("Model_A", "Model_B")


def test_pictures_in_a_folder_a_class(tmp_path: Path) -> None:
    for name in CLASSES:
        for i in range(2):
            (tmp_path / name).mkdir(exist_ok=True)
            Image.fromarray((255 * pixels(9, 9, seed=i)).astype("u1")).save(tmp_path / name / f"{i}.png")
    data = open_dataset(f"deeplense-npy:{tmp_path}")
    assert (len(data), data.image_shape, data.parameters[0].classes) == (6, (1, 9, 9), CLASSES)
    np.testing.assert_array_equal(data.read([1])[0][0, 0, 0], (255 * pixels(9, 9, seed=1)).astype("u1"))
    assert find_reader(str(tmp_path))[0] == "image-folder"


def test_one_array(tmp_path: Path) -> None:
    file = save(tmp_path / "lenses.npy", pixels(7, 10, 10))
    for path in (file, tmp_path):
        data = open_dataset(str(path))
        assert isinstance(data, DeepLenseNpy)
        assert (len(data), list(data.parameters), data.names[6]) == (7, [], "lenses/6")
    save(tmp_path / "other.npy", pixels(10, 10))
    save(tmp_path / "lenses.npy", pixels(10, 10))
    assert list(DeepLenseNpy(tmp_path).parameters) == []  # names of lenses are not classes


def test_other_arrays_beside_other_images(tmp_path: Path) -> None:
    save(tmp_path / "features.npy", pixels(7, 10))
    fits.writeto(tmp_path / "a.fits", pixels(8, 8))
    assert find_reader(str(tmp_path))[0] == "fits-folder"


def test_only_what_is_read_is_in_memory(tmp_path: Path) -> None:
    """The file is sparse: 4 GB of zeros, except for one image."""
    file = tmp_path / "vast.npy"
    vast = np.lib.format.open_memmap(file, "w+", np.float32, (100_000, 100, 100))
    vast[76_543] = pixels(100, 100)
    del vast
    data = DeepLenseNpy(file)
    np.testing.assert_array_equal(data.read([76_543])[0][0, 0, 0], pixels(100, 100))
    with pytest.raises(LenskitError, match=r"vast.npy\[3\] holds no image: all pixels are 0"):
        data.read([3])


def test_channels_or_images(tmp_path: Path) -> None:
    file = save(tmp_path / "a.npy", pixels(3, 10, 10))
    with pytest.raises(UsageError, match=r"3 images \(use axes=nhw\) or channels \(axes=chw\)\?"):
        DeepLenseNpy(file)
    assert DeepLenseNpy(file, axes="nhw").image_shape == (1, 10, 10)
    assert (len(DeepLenseNpy(file, axes="chw")), DeepLenseNpy(file, axes="chw").image_shape) == (1, (3, 10, 10))


def test_bad_arrays_are_named(tmp_path: Path) -> None:
    good = pixels(6, 10, 10)
    for name in ("a", "b", "c"):
        save(tmp_path / f"{name}.npy", good)
    data = DeepLenseNpy(tmp_path)
    (tmp_path / "a.npy").write_bytes((tmp_path / "a.npy").read_bytes()[:1000])
    (tmp_path / "b.npy").unlink()
    save(tmp_path / "c.npy", good[:2])
    for lens, complaint in {0: "a.npy cannot be read: ", 6: "b.npy is missing", 17: "c.npy"}.items():
        with pytest.raises(LenskitError, match=complaint) as raised:
            data.read([lens])
        assert "\n" not in str(raised.value)
    assert [name for name, wrong in data.check() if not wrong] == []
    holes = np.where(np.eye(10) > 0, np.nan, good)
    read = DeepLenseNpy(save(tmp_path / "d.npy", holes)).read([1])[0][0, 0, 0].numpy()
    assert np.isfinite(read).all()
    assert np.array_equal(read != good[1], np.eye(10) > 0)


def test_what_it_does_not_take(tmp_path: Path) -> None:
    arrays = {
        r"flat.npy holds an array \(8,\); its axes should be \(n, height": pixels(8),
        r"deep.npy holds an array \(1, 1, 1, 1, 8, 8\); its axes": pixels(1, 1, 1, 1, 8, 8),
        r"last.npy: channels must come before height and width, but the axes are \(5, 8, 8, 3\)": pixels(5, 8, 8, 3),
        "none.npy holds no images": pixels(0, 8, 8),
        "complex.npy holds values of the type complex64": pixels(5, 8, 8) * np.complex64(1j),
        "wide.npy has 8 x 9 pixels: use size=8": pixels(5, 8, 9),
    }
    for complaint, array in arrays.items():
        file = save(tmp_path / complaint.partition(".npy")[0], array).with_suffix(".npy")
        with pytest.raises(UsageError, match=complaint):
            DeepLenseNpy(file)
    (tmp_path / "text.npy").write_text("no array")
    with pytest.raises(LenskitError, match="text.npy cannot be read: it is not a numpy file"):
        DeepLenseNpy(tmp_path / "text.npy")


def test_thousands_of_files_need_few_open_ones(tmp_path: Path) -> None:
    for number in range(300):
        save(tmp_path / ("no_sub" if number % 2 else "sub") / f"{number}.npy", pixels(6, 6, seed=number))
    (tmp_path / "sub" / "._0.npy").write_bytes(b"x")
    dataset = DeepLenseNpy(tmp_path)
    wanted = np.random.default_rng(0).permutation(300)
    expected = torch.cat([dataset.read([int(i)])[0] for i in wanted[:5]])
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    few = len(os.listdir("/dev/fd")) + 40
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (few, limits[1]))
        read, _ = dataset.read(wanted)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert torch.equal(read[:5], expected)
    assert len(read.flatten(1).unique(dim=0)) == 300


def test_the_limit_of_open_files_is_blamed_on_none(tmp_path: Path) -> None:
    dataset = DeepLenseNpy(save(tmp_path / "a.npy", pixels(5, 6, 6)))
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (0, limits[1]))
        with pytest.raises(LenskitError, match="too many files are open .* ulimit -n") as error:
            dataset.read([0])
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert "a.npy" not in str(error.value)


def pair(path: Path, image: np.ndarray, mass: object) -> Path:
    """Save a lens with a vortex as DeepLenseSim does."""
    array = np.empty(2, object)
    array[:] = [image, mass]
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, array, allow_pickle=True)
    return path


def test_masses_of_axions_are_parameters(tmp_path: Path) -> None:
    """The layout is DeepLenseSim's: a folder per class and a file per image."""
    masses = [3e-24, 5e-23, 1e-22]
    for number, mass in enumerate(masses):
        pair(tmp_path / "axion" / f"{number}.npy", pixels(10, 10, seed=number).astype("f8"), mass)
        save(tmp_path / "cdm" / f"{number}.npy", pixels(10, 10, seed=10 + number))
        save(tmp_path / "no_sub" / f"{number}.npy", pixels(10, 10, seed=20 + number))
    data = open_dataset(str(tmp_path))
    assert isinstance(data, DeepLenseNpy)
    assert [(p.name, p.unit) for p in data.parameters] == [
        ("class", ""), ("axion_mass", "eV"), ("log_axion_mass", "log10 eV"),
    ]  # fmt: skip
    assert data.parameters[0].classes == ("axion", "cdm", "no_sub")
    (tmp_path / "axion" / "2.npy").rename(tmp_path / "away.npy")
    images, values = data.read([1, 8, 0])
    np.testing.assert_array_equal(images[0, 0, 0], pixels(10, 10, seed=1))
    assert values["class"].tolist() == [0, 2, 0]
    for name, wanted in (("axion_mass", [5e-23, np.nan, 3e-24]), ("log_axion_mass", np.log10([5e-23, np.nan, 3e-24]))):
        np.testing.assert_allclose(values[name], wanted, rtol=1e-6)
        assert values[name].dtype == torch.float32
    with pytest.raises(LenskitError, match=r"axion/2.npy is missing"):
        data.read_parameters([2])
    (tmp_path / "away.npy").rename(tmp_path / "axion" / "2.npy")
    np.testing.assert_allclose(data.read_parameters(range(9))["axion_mass"], [*masses, *[np.nan] * 6], rtol=1e-6)
    assert [p.name for p in DeepLenseNpy(tmp_path, classes=["cdm"]).parameters] == ["class"]


def test_a_table_says_more_than_the_files(tmp_path: Path) -> None:
    for number in range(2):
        pair(tmp_path / f"{number}.npy", pixels(8, 8, seed=number), 1e-23)
    (tmp_path / "labels.csv").write_text("name,axion_mass\n0,2e-23\n1,3e-23\n")
    data = DeepLenseNpy(tmp_path)
    assert [p.name for p in data.parameters] == ["axion_mass", "log_axion_mass"]
    np.testing.assert_allclose(data.read([1])[1]["axion_mass"], [3e-23], rtol=1e-6)
    np.testing.assert_allclose(data.read([1])[1]["log_axion_mass"], [-23], rtol=1e-6)


def test_images_of_pairs_have_one_size(tmp_path: Path) -> None:
    pair(tmp_path / "0.npy", pixels(8, 8), 1e-23)
    pair(tmp_path / "1.npy", pixels(9, 9), 1e-23)
    with pytest.raises(UsageError, match=r"use size=8"):
        DeepLenseNpy(tmp_path)
    assert DeepLenseNpy(tmp_path, size=8).read([1])[0].shape == (1, 1, 1, 8, 8)
    # Of all files with the same length only the first is read at the start; the others are checked when they are read.
    pair(tmp_path / "1.npy", pixels(4, 16), 1e-23)
    data = DeepLenseNpy(tmp_path)
    with pytest.raises(LenskitError, match=r"1.npy is missing: the file has changed"):
        data.read([1])
