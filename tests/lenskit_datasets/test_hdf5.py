"""HDF5 files of lenskit and of others."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lenskit.data.readers import find_reader, open_dataset
from lenskit.errors import LenskitError, UsageError
from lenskit_datasets.hdf5 import Hdf5
from lenskit_datasets.zarr_store import ZarrStore


def pixels(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def write(path: Path, images: np.ndarray, name: str = "images", **labels: object) -> Path:
    with h5py.File(path, "w") as file:
        file[name] = images
        for label, values in labels.items():
            file[label] = values
    return path


@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("pairs", ["lens-fixed", "single"])
def test_what_we_simulate_is_what_a_zarr_store_holds(simulated, tmp_path: Path, pairs: str, dtype: str) -> None:
    zarr = ZarrStore(simulated(tmp_path / "pairs.zarr", pairs=pairs, dtype=dtype))
    data = open_dataset(str(simulated(tmp_path / "pairs.h5", "hdf5", pairs=pairs, dtype=dtype)))
    assert isinstance(data, Hdf5)
    same_attributes = "parameters image_shape views shared_groups chunk stored_as pixel_scale configuration"
    for same in same_attributes.split():
        assert getattr(data, same) == getattr(zarr, same), same
    assert list(data.names) == list(zarr.names)
    for index in (range(10), range(4, 8), [9, 0, 4, 4], []):
        torch.testing.assert_close(data.read(index), zarr.read(index), rtol=0, atol=0)
        torch.testing.assert_close(data.read_parameters(index), zarr.read_parameters(index), rtol=0, atol=0)
    assert [name for name, wrong in data.check() if not wrong] == ["lenses 0 to 3", "lenses 4 to 7", "lenses 8 to 9"]


def test_one_that_is_still_to_be_made(simulated, tmp_path: Path) -> None:
    simulated(tmp_path / "pairs.h5.filling")
    with pytest.raises(LenskitError, match="pairs.h5 is not finished, its parts are in .*filling: finish it with: l"):
        Hdf5(tmp_path / "pairs.h5")


def test_damage_is_found_by_the_checksums(simulated, tmp_path: Path) -> None:
    path = simulated(tmp_path / "pairs.h5", "hdf5")
    with h5py.File(path) as file:
        place = file["images"].id.get_chunk_info_by_coord((5, 0, 0, 0, 0)).byte_offset
    content = bytearray(path.read_bytes())
    content[place + 10] ^= 1
    path.write_bytes(content)
    data = Hdf5(path)
    with pytest.raises(LenskitError, match=r"pairs.h5: images\[5\] cannot be read: ") as raised:
        data.read(range(4, 8))
    assert "\n" not in str(raised.value)
    assert len(data.read([4, 6, 7])[0]) == 3
    assert [name for name, wrong in data.check() if wrong] == ["lenses 4 to 7"]


AXES = {
    "nhw": ((6, 8, 8), (1, 1, 8, 8)),
    "nchw": ((6, 3, 8, 8), (1, 3, 8, 8)),
    "nvchw": ((6, 2, 3, 8, 8), (2, 3, 8, 8)),
}


@pytest.mark.parametrize("axes", AXES)
@pytest.mark.parametrize("kind", ["<f4", ">f4", ">f8", "<i2", "u1"])
def test_axes_and_types(tmp_path: Path, axes: str, kind: str) -> None:
    stored, shape = AXES[axes]
    images = (100 + 20 * pixels(*stored)).astype(kind)
    data = open_dataset(str(write(tmp_path / "a.h5", images)))
    assert (len(data), data.views, *data.image_shape) == (6, *shape)
    assert data.shared_groups == (frozenset({"lens"}) if data.views > 1 else frozenset())
    read = data.read([5, 0, 3])[0]
    assert read.dtype == torch.float32
    np.testing.assert_array_equal(read, images[[5, 0, 3]].astype(np.float32).reshape(3, *shape))


@pytest.mark.parametrize("stored", [(4, 8, 8, 3), (4, 2, 8, 8, 3), (4, 8, 8)])
def test_channels_last(tmp_path: Path, stored: tuple[int, ...]) -> None:
    images = pixels(*stored)
    data = Hdf5(write(tmp_path / "a.h5", images), channels_last=True)
    expected = images[:, None, ..., None] if len(stored) == 3 else images.reshape(4, -1, 8, 8, 3)
    np.testing.assert_array_equal(data.read(range(4))[0], np.moveaxis(expected, -1, 2))
    if len(stored) > 3:
        with pytest.raises(UsageError, match=r"8 channels of 8 x 3 pixels: use channels_last=true if that is wrong"):
            Hdf5(tmp_path / "a.h5")


@pytest.mark.slow
@given(st.lists(st.integers(0, 19), max_size=12), st.sampled_from([None, 1, 4, 20]))
@settings(deadline=None, max_examples=25)
def test_any_order_however_it_is_chunked(tmp_path_factory, index: list[int], chunk: int | None) -> None:
    images, path = pixels(20, 5, 5), tmp_path_factory.mktemp("h5") / "a.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("images", data=images, chunks=chunk and (chunk, 5, 5), compression=chunk and "gzip")
        file["x"] = np.arange(20.0)
    data = Hdf5(path)
    assert data.chunk == (chunk or 1)
    read, values = data.read(index)
    np.testing.assert_array_equal(read[:, 0, 0], images[index])
    assert values["x"].tolist() == index


def test_several_threads_read_at_once(tmp_path: Path) -> None:
    images = pixels(64, 16, 16)
    data = Hdf5(write(tmp_path / "a.h5", images, x=np.arange(64)))
    with ThreadPoolExecutor(8) as pool:
        for number, (read, values) in enumerate(pool.map(lambda i: data.read([i, 63 - i]), range(64))):
            np.testing.assert_array_equal(read[:, 0, 0], images[[number, 63 - number]])
            assert values["x"].tolist() == [number, 63 - number]


def test_labels_and_their_units(tmp_path: Path) -> None:
    path = write(tmp_path / "a.h5", pixels(4, 2, 1, 8, 8), theta_E=[1.0, 1.5, np.nan, 2.0], e1=np.zeros((4, 2), ">f8"))
    with h5py.File(path, "a") as file:
        file["b_SIE"], file["pa"], file["other"], file["nested/z"] = np.ones(4), np.arange(4), np.ones(5), np.ones(4)
        file["pa"].attrs["units"] = "deg"
        file["b_SIE"].attrs["unit"] = b"arcsec"
    data = Hdf5(path)
    known = {p.name: (p.unit, p.group, p.headline) for p in data.parameters}
    assert known == {
        "b_SIE": ("arcsec", "lens", False), "e1": ("", "image", False), "pa": ("deg", "lens", False),
        "theta_E": ("arcsec", "lens", True),
    }  # fmt: skip
    values = data.read([3, 2])[1]
    assert (values["theta_E"][0].item(), values["theta_E"][1].isnan().item(), values["e1"].shape) == (2, True, (2, 2))
    chosen = Hdf5(path, labels=["pa", "nested/z"], columns={"theta_E": "b_SIE"})
    assert [(p.name, p.unit) for p in chosen.parameters] == [("pa", "deg"), ("z", ""), ("theta_E", "arcsec")]
    assert chosen.read_parameters([1])["theta_E"].tolist() == [1]
    with pytest.raises(UsageError, match=r"other is not a label: it does not have one number or text for each"):
        Hdf5(path, labels=["other"])
    with pytest.raises(UsageError, match=r"has no data set redshift for redshift; it has b_SIE \(4,\), "):
        Hdf5(path, labels=["redshift"])


def test_two_labels_of_one_name(tmp_path: Path) -> None:
    path = write(tmp_path / "a.h5", pixels(4, 8, 8), **{"a/z": np.ones(4), "b/z": np.full(4, 2.0)})
    with pytest.raises(UsageError, match="two of the labels a/z, b/z have the same name: rename one with columns"):
        Hdf5(path, labels=["a/z", "b/z"])
    values = Hdf5(path, labels=["a/z"], columns={"z2": "b/z"}).read_parameters([0])
    assert {name: value.item() for name, value in values.items()} == {"z": 1, "z2": 2}


@pytest.mark.parametrize("unit", ["1", "dimensionless", "None", b"none", " "])
def test_what_is_called_no_unit_is_none(tmp_path: Path, unit: str | bytes) -> None:
    path = write(tmp_path / "a.h5", pixels(4, 8, 8), z=np.ones(4), stamp=np.arange(4))
    with h5py.File(path, "a") as file:
        file["z"].attrs["units"] = unit
        file["stamp"].attrs["identity"] = True
    known = {p.name: (p.unit, p.identity) for p in Hdf5(path).parameters}
    assert known == {"z": ("", False), "stamp": ("", True)}


def test_classes(tmp_path: Path) -> None:
    path = write(tmp_path / "a.h5", pixels(4, 8, 8), kind=["vortex", "no_sub", "sphere", "no_sub"])
    with h5py.File(path, "a") as file:
        file.create_dataset("code", data=[7, 3, 7, 3], dtype=h5py.enum_dtype({"ring": 7, "arc": 3}, "i4"))
        file["number"] = [0, 1, 1, 0]
        file["number"].attrs["classes"] = ["no", "yes"]
        file["flag"] = np.array([True, False, True, True])
    data = Hdf5(path)
    assert {p.name: p.classes for p in data.parameters} == {
        "code": ("arc", "ring"), "flag": (), "kind": ("no_sub", "sphere", "vortex"), "number": ("no", "yes"),
    }  # fmt: skip
    values = {name: value.tolist() for name, value in data.read_parameters(range(4)).items()}
    assert values == {"code": [1, 0, 1, 0], "flag": [1, 0, 1, 1], "kind": [2, 0, 1, 0], "number": [0, 1, 1, 0]}


def test_an_empty_text_is_not_known(tmp_path: Path) -> None:
    data = Hdf5(write(tmp_path / "a.h5", pixels(4, 8, 8), kind=["sphere", "", "no_sub", ""], none=[""] * 4))
    assert {p.name: p.classes for p in data.parameters} == {"kind": ("no_sub", "sphere"), "none": ()}
    values = data.read_parameters(range(4))
    np.testing.assert_array_equal(values["kind"], [1, np.nan, 0, np.nan])
    assert values["none"].isnan().all()


def test_what_is_no_label_is_told(tmp_path: Path, caplog) -> None:
    others = {"noise": pixels(4, 8, 8), "theta_E": np.ones((4, 2)), "psf": pixels(8, 8), "e1": np.ones(4)}
    path = write(tmp_path / "a.h5", images := pixels(4, 2, 8, 8), **others)
    assert [p.name for p in Hdf5(path).parameters] == ["e1"]
    (told,) = caplog.records
    assert (told.name, told.levelname) == ("lenskit", "WARNING")
    assert told.getMessage().endswith(
        "each lens: noise (4, 8, 8), theta_E (4, 2); use views=true if images has 2 views rather than channels"
    )
    data = Hdf5(path, views=True)
    assert ([p.name for p in data.parameters], data.views, data.image_shape) == (["e1", "theta_E"], 2, (1, 8, 8))
    np.testing.assert_array_equal(data.read([3, 1])[0][:, :, 0], images[[3, 1]])
    assert "views=true" not in caplog.records[-1].getMessage()
    caplog.clear()
    Hdf5(path, labels=["e1"])
    assert not caplog.records


def test_images_of_another_name(tmp_path: Path) -> None:
    path = write(tmp_path / "a.hdf", pixels(4, 8, 8), "train/x", **{"train/y": np.arange(4), "y": np.arange(4)})
    data = Hdf5(path)  # the only data set with this number of axes
    assert ([p.name for p in data.parameters], data.read_parameters([2])["y"].tolist()) == (["y"], [2])
    write(tmp_path / "b.hdf", pixels(4, 8, 8), "train/x", **{"test/x": pixels(2, 8, 8)})
    with pytest.raises(
        UsageError, match=r"which data set holds the images\? Name it: images=NAME; it has test/x \(2, "
    ):
        Hdf5(tmp_path / "b.hdf")
    assert len(Hdf5(tmp_path / "b.hdf", images="test/x")) == 2
    assert len(open_dataset(f"hdf5:{tmp_path / 'b.hdf'}", images="train/x", size=5)) == 4


def test_cut_and_filled(tmp_path: Path) -> None:
    images = pixels(3, 20, 20)
    images[1, 8, 9] = np.nan
    images[2, 0, 0] = np.inf  # outside of the central part
    read = Hdf5(write(tmp_path / "a.h5", images), size=10).read(range(3))[0][:, 0, 0].numpy()
    assert np.isfinite(read).all()
    assert np.argwhere(read != images[:, 5:15, 5:15]).tolist() == [[1, 3, 4]]


def test_what_it_does_not_take(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no file nowhere.h5; hdf5 takes an HDF5 file"):
        Hdf5("nowhere.h5")
    (tmp_path / "text.h5").write_text("no image")
    with pytest.raises(LenskitError, match="text.h5 cannot be read as HDF5: "):
        Hdf5(tmp_path / "text.h5")
    with pytest.raises(UsageError, match="no reader recognises"):
        find_reader(str(tmp_path / "text.h5"))
    whole = write(tmp_path / "a.h5", pixels(40, 8, 8)).read_bytes()
    (tmp_path / "half.h5").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(LenskitError, match="half.h5 cannot be read as HDF5: .*truncated"):
        Hdf5(tmp_path / "half.h5")
    complaints = {
        "images holds no images": (write(tmp_path / "b.h5", pixels(4, 8)), "images"),
        "has no data set cutouts; it has images (40, 8, 8)": (tmp_path / "a.h5", "cutouts"),
        "is empty": (write(tmp_path / "c.h5", pixels(0, 8, 8)), "images"),
        "has 8 x 9 pixels: use size=8": (write(tmp_path / "d.h5", pixels(4, 8, 9)), "images"),
        "images holds no images (lens": (write(tmp_path / "e.h5", pixels(4, 8, 8) * 1j), "images"),
    }
    for complaint, (path, name) in complaints.items():
        with pytest.raises(UsageError) as raised:
            Hdf5(path, images=name)
        assert complaint in str(raised.value)
    blank = pixels(3, 8, 8)
    blank[1] = 0
    with pytest.raises(LenskitError, match=r"f.h5: images\[1\] holds no image: all pixels are 0"):
        Hdf5(write(tmp_path / "f.h5", blank)).read([0, 1])


@pytest.mark.parametrize(
    ("name", "unit", "value", "found"),
    [
        ("theta_E_rad", None, 4.84813681109536e-06, ("theta_E", "arcsec", 1)),
        ("theta_E_rad", "1", 4.84813681109536e-06, ("theta_E", "arcsec", 1)),
        ("theta_E", "mas", 1000, ("theta_E", "arcsec", 1)),
        ("theta_E", "radians", 4.84813681109536e-06, ("theta_E", "arcsec", 1)),
        ("theta_E", "kpc", 3, ("theta_E", "kpc", 3)),
        ("theta_E_kpc", None, 3, ("theta_E_kpc", "kpc", 3)),
        ("pa_deg_east", None, 30, ("pa_deg_east", "deg", 30)),
        ("pa_deg_east", "degrees", 30, ("pa_deg_east", "deg", 30)),
    ],
)
def test_units_by_name_and_attribute(
    tmp_path: Path, name: str, unit: str | None, value: float, found: tuple[str, str, float]
) -> None:
    path = write(tmp_path / "a.h5", pixels(4, 8, 8), **{name: np.full(4, value)})
    with h5py.File(path, "a") as file:
        file[name].attrs.update({} if unit is None else {"units": unit})
    (parameter,) = (data := Hdf5(path)).parameters
    read = data.read_parameters([0])[parameter.name].item()
    assert (parameter.name, parameter.unit, read) == (*found[:2], pytest.approx(found[2]))


def test_a_name_and_an_attribute_that_contradict_each_other(tmp_path: Path, caplog) -> None:
    path = write(tmp_path / "a.h5", pixels(4, 8, 8), theta_E_rad=np.ones(4), q=np.ones(4))
    with h5py.File(path, "a") as file:
        file["theta_E_rad"].attrs["units"] = "arcsec"
    assert [p.name for p in Hdf5(path).parameters] == ["q"]
    why = "is in rad by its name, and in arcsec by its attribute"
    assert caplog.records[-1].getMessage().endswith(f"data sets are left out: theta_E_rad {why}")
    with pytest.raises(UsageError, match=f"theta_E_rad is not a label: it {why}"):
        Hdf5(path, columns={"theta_E": "theta_E_rad"})


@pytest.mark.parametrize(
    ("name", "value", "shown", "right"),
    [
        ("identity", "false", "'false'", "true or false"),
        ("identity", [1, 0], r"\[1, 0\]", "true or false"),
        ("identity", 2, "2", "true or false"),
        ("identity", np.nan, "nan", "true or false"),
        ("classes", 3, "3", "a list of different texts"),
        ("classes", "ring", "'ring'", "a list of different texts"),
        ("classes", [0, 1], r"\[0, 1\]", "a list of different texts"),
        ("classes", ["a", "a"], r"\['a', 'a'\]", "a list of different texts"),
        ("units", np.bytes_(b"\xff\xe9"), r"b'\\xff\\xe9'", "one text in UTF-8"),
        ("units", np.array(b"\xff\xe9", h5py.string_dtype()), ".*", "one text in UTF-8"),
        ("unit", 3.0, r"3\.0", "one text in UTF-8"),
        ("long_name", ["a", "b"], r"\['a', 'b'\]", "one text in UTF-8"),
        ("group", 1, "1", "one text in UTF-8"),
    ],
)
def test_an_attribute_of_another_type_is_named(
    tmp_path: Path, caplog, name: str, value, shown: str, right: str
) -> None:
    path = write(tmp_path / "a.h5", pixels(4, 8, 8), stamp=np.arange(4), q=np.ones(4))
    with h5py.File(path, "a") as file:
        file["stamp"].attrs[name] = value
    assert [p.name for p in Hdf5(path).parameters] == ["q"]
    (told,) = caplog.records
    why = f"has the attribute {name}={shown}; use {right}"
    assert re.search(f"a.h5: data sets are left out: stamp {why}", told.getMessage())
    with pytest.raises(UsageError, match=f"a.h5: stamp is not a label: it {why}"):
        Hdf5(path, labels=["stamp"])


def test_attributes_of_one_element(tmp_path: Path) -> None:
    """MATLAB writes attributes of one element, and empty ones."""
    path = write(tmp_path / "a.h5", pixels(4, 8, 8), stamp=np.arange(4), pa=np.ones(4))
    with h5py.File(path, "a") as file:
        file["stamp"].attrs.update({"identity": np.ones((1, 1), "u1"), "units": h5py.Empty("S1")})
        file["pa"].attrs["units"] = np.array([b"deg"])
    known = {p.name: (p.unit, p.identity) for p in Hdf5(path).parameters}
    assert known == {"pa": ("deg", False), "stamp": ("", True)}


def test_classes_without_a_name_are_not_known(tmp_path: Path, caplog) -> None:
    path = write(tmp_path / "a.h5", pixels(5, 8, 8), number=[0, 1, 2, -1, np.nan])
    with h5py.File(path, "a") as file:
        kind = h5py.enum_dtype({"ring": 7, "arc": 3}, "i4")
        file.create_dataset("code", data=[7, 3, 5, 99, -2], dtype=kind)
        file["number"].attrs["classes"] = ["no", "yes"]
    values = Hdf5(path).read_parameters(range(5))
    np.testing.assert_array_equal(values["code"], [1, 0, np.nan, np.nan, np.nan])
    np.testing.assert_array_equal(values["number"], [0, 1, np.nan, np.nan, np.nan])
    assert [record.getMessage().partition("a.h5: ")[2] for record in caplog.records] == [
        "code: 3 values belong to no class and are unknown",
        "number: 2 values belong to no class and are unknown",
    ]


def test_long_numbers_are_identities_or_left_out(tmp_path: Path, caplog) -> None:
    long = np.array([2**63 + 5, 2**53 + 1, 3], np.uint64)
    path = write(tmp_path / "a.h5", pixels(3, 8, 8), oid=long, star=long[[0, 1, 0]], stamp=[2**53 + 1, -1, 2**53])
    with h5py.File(path, "a") as file:
        file["star"].attrs["identity"] = file["stamp"].attrs["identity"] = True
    data = Hdf5(path)
    assert [p.name for p in data.parameters] == ["stamp", "star"]
    assert f"left out: oid holds whole numbers too large for float32, such as {2**63 + 5} (the attribute" in caplog.text
    values = data.read_parameters(range(3))
    assert (values["star"].tolist(), values["stamp"].tolist()) == ([1, 0, 1], [1, -1, 0])
    with pytest.raises(UsageError, match="oid is not a label: it holds whole numbers"):
        Hdf5(path, labels=["oid"])


def test_values_of_other_kinds(tmp_path: Path, caplog) -> None:
    others = {"row": np.zeros(3, [("a", "f4")]), "wave": np.ones(3) * 1j, "text": np.array([b"\xe9", b"a", b"b"])}
    path = write(tmp_path / "a.h5", pixels(3, 8, 8), **others, e1=[1, np.inf, 1e300])
    with h5py.File(path, "a") as file:
        file.create_dataset("point", (3,), h5py.ref_dtype)
        file["word"] = np.array(["é".encode(), b"a", b"b"])
    values = Hdf5(path).read_parameters(range(3))
    np.testing.assert_array_equal(values["e1"], [1, np.nan, np.nan])
    assert values["word"].tolist() == [2, 0, 1]
    told = [record.getMessage().partition("a.h5: ")[2] for record in caplog.records]
    assert told == [
        "left out, because these data sets do not have one number or text for each lens: "
        "point (3,), row (3,), wave (3,)",
        "data sets are left out: text holds text that is not in UTF-8",
        "e1: 2 values are outside the range of float32 and are unknown",
    ]


def test_nothing_of_another_file_is_read(tmp_path: Path, caplog) -> None:
    write(tmp_path / "other.h5", pixels(3, 8, 8), q=np.ones(3))
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["x/images"] = pixels(3, 8, 8)
        file["x/q"], file["images"] = h5py.ExternalLink("other.h5", "q"), h5py.ExternalLink("other.h5", "images")
    with pytest.raises(LenskitError, match="a.h5: images is a link to other.h5: other files are not read"):
        Hdf5(tmp_path / "a.h5")
    assert list(Hdf5(tmp_path / "a.h5", images="x/images").parameters) == []
    assert caplog.records[-1].getMessage().endswith("data sets are left out: x/q is a link to other.h5")
    with pytest.raises(LenskitError, match="a.h5: x/q is a link to other.h5"):
        Hdf5(tmp_path / "a.h5", images="x/images", labels=["q"])


def test_shapes_of_terabytes(tmp_path: Path, caplog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LENSKIT_MAX_BYTES", str(10**9))

    def announce(shape: tuple[int, ...], written: bool = True, chunk: int = 1, **labels: int) -> Path:
        with h5py.File(tmp_path / "a.h5", "w") as file:
            data = file.create_dataset("images", shape, "f4", chunks=(chunk, 8, 8), compression="gzip")
            if written:
                data[0, :8, :8] = pixels(8, 8)
            for name, size in labels.items():
                file.create_dataset(name, shape[:1], "f8", maxshape=(None,), chunks=(size,), compression="gzip")
        return tmp_path / "a.h5"

    with pytest.raises(UsageError, match=r"images \(1000000, 10000, 10000\) has no values: none was ever written"):
        Hdf5(announce((10**6, 10**4, 10**4), written=False))
    with pytest.raises(LenskitError, match=r"images: an image in float32 takes 4000000000000 bytes"):
        Hdf5(announce((10, 10**6, 10**6)), size=8)
    with pytest.raises(LenskitError, match=r"one number for each lens of images takes 8000000000000 bytes"):
        Hdf5(announce((10**12, 8, 8)))
    with pytest.raises(LenskitError, match=r"images \(twice one chunk, .*\) takes 5120000000 bytes"):
        Hdf5(announce((10**8, 8, 8), written=False, chunk=10**7))
    assert not Hdf5(announce((3, 8, 8), q=2 * 10**8)).parameters
    assert "left out: q (twice one chunk, to unpack it) takes 3200000000 bytes in memory" in caplog.text
