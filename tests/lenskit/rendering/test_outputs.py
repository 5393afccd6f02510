"""Outputs can be read by common tools, and are written completely or not at all."""

from __future__ import annotations

import resource
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from PIL import Image
from scipy.io import loadmat

import lenskit
from lenskit.chosen import build
from lenskit.data.readers import open_dataset
from lenskit.errors import LenskitError, UsageError
from lenskit.formats import formats_of
from lenskit.rendering.image_format import ImageFormat
from lenskit.rendering.outputs import beside, check_out, format_of, write
from lenskit.rendering.render import Rendering
from lenskit.rendering.table import read_table
from lenskit_datasets.formats.png import greys

from .conftest import Derived, rendered

TABLE = {"name": ["one", "two", "three"], "width": [1.5, None, 2.25]}


@pytest.fixture
def blobs() -> Rendering:
    return Rendering(read_table(TABLE), build("simulator", "blobs", {"pixels": 8}), "blobs")


@pytest.fixture
def cli(request: pytest.FixtureRequest) -> Callable[..., Any]:
    """Run a command line like the fixture `lenskit`.

    That name is the package here.
    """
    return request.getfixturevalue("lenskit")


@pytest.fixture
def images() -> np.ndarray:
    return lenskit.render(TABLE, "blobs", set={"pixels": 8})[0]


def test_numpy_has_the_images_and_a_table_that_makes_them_again(blobs: Rendering, images: np.ndarray) -> None:
    write(blobs, Path("new/lenses.npy"), "npy")
    stored = np.load("new/lenses.npy")
    assert stored.dtype == np.float32
    np.testing.assert_array_equal(stored, images)
    again, values = lenskit.render("new/lenses.parameters.csv", "blobs", set={"pixels": 8}, ignore=["x"])
    np.testing.assert_array_equal(again, images)
    assert values["name"].tolist() == TABLE["name"]
    assert sorted(path.name for path in Path("new").iterdir()) == ["lenses.npy", "lenses.parameters.csv"]


def test_matlab_has_images_parameters_and_units(blobs: Rendering, images: np.ndarray) -> None:
    write(blobs, Path("lenses.mat"), "mat")
    np.testing.assert_array_equal(loadmat("lenses.mat")["images"], images)
    read = loadmat("lenses.mat", simplify_cells=True)
    assert read["names"].tolist() == TABLE["name"]
    assert read["parameters"]["width"][[0, 2]].tolist() == [1.5, 2.25]
    assert (read["units"]["width"], read["parameters"]["x"].shape) == ("arcsec", (3,))


@pytest.mark.parametrize("kind", [None, "some"])
def test_classes_are_names_in_matlab_and_csv(kind: str | None) -> None:
    rendering = rendered({"kind": ["all", kind, "none"]})
    write(rendering, Path("lenses.mat"), "mat")
    read = loadmat("lenses.mat", simplify_cells=True)["parameters"]["kind"].tolist()
    assert read == ["all", kind or read[1], "none"]
    write(rendering, Path("lenses.npy"), "npy")
    assert read_table("lenses.parameters.csv").columns["kind"] == read


def test_hdf5_is_what_our_reader_reads(blobs: Rendering, images: np.ndarray) -> None:
    write(blobs, Path("lenses.h5"), "hdf5")
    dataset = open_dataset("lenses.h5")
    assert [(p.name, p.unit, p.symbol, p.group) for p in dataset.parameters] == [
        (p.name, p.unit, p.symbol, p.group) for p in blobs.parameters
    ]
    read, values = dataset.read([0, 1, 2])
    np.testing.assert_array_equal(read[:, 0], images)
    assert values["width"][[0, 2]].tolist() == [1.5, 2.25]
    with h5py.File("lenses.h5") as file:
        assert file["table/name"].asstr()[...].tolist() == TABLE["name"]


def test_classes_are_classes_for_our_reader() -> None:
    write(rendered({"kind": ["all", "some", "none"], "hidden": [0.1, None, 0.2]}), Path("lenses.h5"), "hdf5")
    dataset = open_dataset("lenses.h5")
    found = {parameter.name: parameter for parameter in dataset.parameters}
    assert found["kind"].classes == ("none", "some", "all")
    values = dataset.read_parameters([0, 1, 2])
    assert values["kind"].tolist() == [2, 1, 0]
    assert values["hidden"].isnan().tolist() == [False, True, False]


@pytest.mark.parametrize(("bits", "top"), [(8, 255), (16, 65535)])
def test_png_shows_zero_to_the_peak(blobs: Rendering, images: np.ndarray, bits: int, top: int) -> None:
    write(blobs, Path("lenses"), "png", bits=bits)
    assert sorted(path.name for path in Path("lenses").iterdir()) == [
        "one.png", "parameters.csv", "three.png", "two.png",
    ]  # fmt: skip
    for name, (image,) in zip(TABLE["name"], images, strict=True):
        with Image.open(f"lenses/{name}.png") as picture:
            pixels = np.asarray(picture).astype(float)
        assert pixels.max() == top
        np.testing.assert_allclose(pixels / top, np.clip(image / image.max(), 0, 1), atol=0.5001 / top)


def test_a_png_has_a_channel_each() -> None:
    class Coloured(Derived):
        image_shape = (3, 2, 2)

        def render(self, scene, omit=()):
            return super().render(scene).expand(-1, 3, 2, 2)

    write(rendered({"name": ["a"]}, Coloured()), Path("lenses"), "png")
    assert sorted(path.stem for path in Path("lenses").glob("*.png")) == ["a-0", "a-1", "a-2"]


def test_the_asinh_stretch_is_as_it_says() -> None:
    image = np.array([[[-1.0, 0.0, 0.05, 2.0]]], np.float32)
    found = greys(image, 16, "asinh")[0, 0] / 65535
    expected = np.arcsinh(np.array([0, 0, 0.025, 1]) * 20) / np.arcsinh(20)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert not greys(np.full((1, 2, 2), -1, np.float32), 8, "linear").any()


@pytest.mark.parametrize("format", formats_of(ImageFormat))
def test_an_output_is_whole_or_not_there(format: str) -> None:
    """The second lens has no image: no file is left, and the earlier output stays."""
    out = Path("lenses.x")
    broken: dict[str, Any] = {"hidden": [0.1, 2e38]}
    with pytest.raises(LenskitError, match="not finite"):
        write(rendered(broken), out, format)
    assert list(Path().iterdir()) == []
    write(rendered({"hidden": [0.1, 0.2]}), out, format)
    before = {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()}
    with pytest.raises(LenskitError, match="not finite"):
        write(rendered(broken), out, format)
    assert {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()} == before
    write(rendered({"hidden": [0.3]}), out, format)
    assert {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()} != before


def test_the_ending_says_the_format() -> None:
    endings = {"a.npy": "npy", "a.MAT": "mat", "a.h5": "hdf5", "a.hdf5": "hdf5", "a": "png", "a.png": "png"}
    assert {name: format_of(Path(name)) for name in endings} == endings
    assert format_of(Path("a.dat"), "npy") == "npy"
    with pytest.raises(UsageError, match=r"give the --format of a.npi \(hdf5, mat, npy, pgm, .*\(did you mean .npy"):
        format_of(Path("a.npi"))
    with pytest.raises(UsageError, match=r"unknown format 'hdf'; did you mean hdf5"):
        format_of(Path("a.h5"), "hdf")
    with pytest.raises(UsageError, match="format 'fits' does not hold images: use hdf5, mat, npy, pgm, png"):
        format_of(Path("a"), "fits")


@pytest.mark.parametrize(
    ("out", "format", "complaint"),
    [
        ("", "npy", "-o takes the path of the output"),
        ("there.npy", "npy", "there.npy exists: choose another -o, or replace it with --overwrite"),
        ("lenses.npy", "npy", "lenses.parameters.csv exists"),
        ("table.csv", "mat", "table.csv is the table itself"),
        ("folder", "mat", "folder is a folder"),
        ("there.npy", "png", "there.npy is not a folder"),
        ("folder", "png", "folder holds files that are not rendered images"),
        ("pictures", "png", "pictures exists"),
    ],
)
def test_what_is_there_is_not_lost(out: str, format: str, complaint: str) -> None:
    for path in ("there.npy", "table.csv", "folder/mine", "pictures/parameters.csv", "lenses.parameters.csv"):
        Path(path).parent.mkdir(exist_ok=True)
        Path(path).write_text("")
    with pytest.raises(UsageError) as error:
        check_out(Path(out), format, overwrite=False, table=Path("table.csv"))
    assert str(error.value).startswith(complaint)
    check_out(Path("there.npy"), "npy", overwrite=True, table=Path("table.csv"))
    check_out(Path("pictures"), "png", overwrite=True)
    Path("empty").mkdir()
    check_out(Path("empty"), "png", overwrite=False)


@pytest.mark.parametrize("foreign", ["notes.txt", "raw/one.png", "sub.png/mine", "mine.png", "0-mine.png"])
def test_no_folder_that_holds_more_than_images_is_replaced(blobs: Rendering, foreign: str) -> None:
    write(blobs, Path("lenses"), "png")
    check_out(Path("lenses"), "png", overwrite=True)
    path = Path("lenses") / foreign
    path.parent.mkdir(exist_ok=True)
    path.write_text("")
    with pytest.raises(UsageError, match=f"lenses holds files that are not rendered images, {foreign[:4]}"):
        check_out(Path("lenses"), "png", overwrite=True)
    with pytest.raises(UsageError, match="lenses now holds files that are not rendered images"):
        write(blobs, Path("lenses"), "png")
    assert path.is_file()
    assert sorted(each.name for each in Path().iterdir()) == ["lenses"]


def test_parameters_and_scratch_of_others_are_left_alone(blobs: Rendering) -> None:
    for name in ("lenses.parameters.csv", ".lenses.npy.part", ".lenses.npy.old"):
        Path(name).write_text("mine")
    with pytest.raises(
        UsageError, match="lenses.parameters.csv exists, but the parameters of lenses.npy would be written there"
    ):
        check_out(Path("lenses.npy"), "npy", overwrite=True)
    write(blobs, Path("lenses.npy"), "npy")
    assert {Path(name).read_text() for name in (".lenses.npy.part", ".lenses.npy.old")} == {"mine"}


@pytest.mark.parametrize("name", ["run.toml", "encoder/x.npy", "metrics.jsonl"])
def test_no_part_of_a_run_is_replaced(name: str) -> None:
    Path("a/encoder").mkdir(parents=True)
    for file in ("a/run.toml", "a/provenance.json"):
        Path(file).write_text("")
    Path("link").symlink_to("a")
    for out in (f"a/{name}", f"link/{name}", f"a/../a/{name}"):
        with pytest.raises(UsageError, match="is a part of the run .*: choose another -o"):
            check_out(Path(out), "npy", overwrite=True)


def test_a_folder_that_holds_the_table_is_not_replaced(blobs: Rendering) -> None:
    write(blobs, Path("lenses"), "png")
    Path("link").symlink_to("lenses")
    for out in ("lenses", "link"):
        with pytest.raises(UsageError, match=f"{out} holds the table lenses/parameters.csv"):
            check_out(Path(out), "png", overwrite=True, table=Path("lenses/parameters.csv"))


def test_of_a_linked_folder_the_folder_is_replaced() -> None:
    Path("elsewhere/lenses").mkdir(parents=True)
    Path("link").symlink_to("elsewhere/lenses")
    for name in ("before", "after"):
        check_out(Path("link"), "png", overwrite=True)
        write(rendered({"name": [name]}), Path("link"), "png")
    assert Path("link").is_symlink()
    assert {path.name for path in Path("link").iterdir()} == {"after.png", "parameters.csv"}
    assert {path.name for path in (*Path().iterdir(), *Path("elsewhere").iterdir())} == {"link", "elsewhere", "lenses"}


def test_a_table_of_parameters_is_never_replaced_by_that_of_its_images() -> None:
    Path("lenses.parameters.csv").write_text("width\n1\n")
    with pytest.raises(UsageError, match="is the table itself"):
        check_out(Path("lenses.npy"), "npy", overwrite=True, table=beside(Path("lenses.npy")))


def test_matlab_says_what_it_cannot_hold(blobs: Rendering) -> None:
    big = Rendering(read_table({"width": [1.0] * 5000}), build("simulator", "blobs", {"pixels": 400}), "blobs")
    with pytest.raises(UsageError, match=r"5000 images are too many for a MATLAB file \(2 GB\): use --format hdf5"):
        write(big, Path("lenses.mat"), "mat")


@pytest.mark.parametrize("name", ["a.npy", "a.mat", "a.h5", "a"])
def test_a_full_disk_names_the_file_and_leaves_nothing(name: str) -> None:
    Path("out").mkdir()
    rendering = Rendering(read_table({"width": [1.0] * 30}), build("simulator", "blobs", {"pixels": 16}), "blobs")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (300, before[1]))
    try:
        with pytest.raises(OSError, match="File too large") as caught:
            write(rendering, Path("out", name), format_of(Path(name)))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert Path(caught.value.filename).name == name
    assert not list(Path("out").iterdir())


def test_a_format_of_a_third_party_is_written_and_replaced(images: np.ndarray, cli: Callable[..., Any]) -> None:
    Path("table.csv").write_text("name,width\none,1.5\ntwo,\nthree,2.25\n")
    line = ("render", "table.csv", "--simulator", "blobs", "--set", "simulator.pixels=8", "-o", "lenses.pgm")
    assert cli(*line).status == 0
    assert cli(*line).complaint().endswith("choose another -o, or replace it with --overwrite")
    assert cli(*line, "--overwrite").status == 0
    assert cli(*line, "--bits", 8).complaint() == "--bits is for PNG, not for pgm"
    names = {f"{name}.pgm" for name in TABLE["name"]} | {"parameters.csv"}
    assert {path.name for path in Path("lenses.pgm").iterdir()} == names
    for name, (image,) in zip(TABLE["name"], images, strict=True):
        with Image.open(f"lenses.pgm/{name}.pgm") as picture:
            np.testing.assert_allclose(np.asarray(picture) / 65535, np.clip(image / image.max(), 0, 1), atol=1 / 65535)
    Path("lenses.pgm/one.png").write_text("mine")
    complaint = cli(*line, "--overwrite").complaint()
    assert complaint.startswith("lenses.pgm holds files that are not rendered images, one.png")
