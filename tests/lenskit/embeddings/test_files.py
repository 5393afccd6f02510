"""Embedding files: complete or absent, safe to overwrite, one line about damage."""

from __future__ import annotations

import json
import os
import re
import resource
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow
import pytest
import zarr
from pyarrow import parquet

from lenskit.embeddings import Embeddings, is_embeddings
from lenskit.errors import LenskitError, UsageError

ENDINGS = (".zarr", ".parquet", ".npz")

KILLED = """
import os, signal, sys
from lenskit.embeddings import Embeddings

def parts():
    yield Embeddings([[1.0, 2.0]])
    os.kill(os.getpid(), signal.SIGKILL)

Embeddings.write(sys.argv[1], parts(), 2)
"""


@pytest.mark.slow
@pytest.mark.parametrize("ending", ENDINGS)
def test_a_kill_leaves_what_was_there(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"features{ending}"
    Embeddings([[7.0, 8.0]]).save(path)
    done = subprocess.run([sys.executable, "-c", KILLED, str(path)], capture_output=True)
    assert done.returncode == -signal.SIGKILL
    np.testing.assert_array_equal(np.asarray(Embeddings.load(path).features), [[7, 8]])
    Embeddings([[9.0, 9.0]]).save(path)
    np.testing.assert_array_equal(np.asarray(Embeddings.load(path).features), [[9, 9]])
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("ending", ENDINGS)
def test_what_fails_on_the_way_leaves_nothing(tmp_path: Path, ending: str) -> None:
    def parts():
        yield Embeddings([[1.0]])
        raise LenskitError("an image cannot be read")

    with pytest.raises(LenskitError, match="an image cannot be read"):
        Embeddings.write(tmp_path / f"features{ending}", parts(), 2)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "pairs.zarr" / "images").mkdir(parents=True)
    with pytest.raises(UsageError, match="pairs.zarr exists and holds no embeddings: choose another file"):
        Embeddings([[1.0]]).save(tmp_path / "pairs.zarr")
    assert (tmp_path / "pairs.zarr" / "images").is_dir()


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_file_of_something_else_is_left_alone(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"mine{ending}"
    path.write_bytes(b"something else")
    complaint = f"{path.name} exists and holds no embeddings: choose another file"
    with pytest.raises(UsageError, match=complaint):
        Embeddings([[1.0]]).save(path)
    assert path.read_bytes() == b"something else"
    assert list(tmp_path.iterdir()) == [path]


def test_a_catalogue_and_features_of_others_are_left_alone_unless_asked(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    pyarrow = pytest.importorskip("pyarrow")
    for column, why in (
        ("flux", "exists and holds no embeddings"),
        ("features", "holds features that lenskit did not"),
    ):
        np.savez(tmp_path / "a.npz", **{column: np.ones((2, 1))})
        parquet.write_table(pyarrow.table({column: [[1.0], [2.0]]}), tmp_path / "a.parquet")
        for path in (tmp_path / "a.npz", tmp_path / "a.parquet"):
            before = path.read_bytes()
            with pytest.raises(UsageError, match=f"{path.name} {why}.* choose another file, or use --overwrite"):
                Embeddings([[7.0]]).save(path)
            assert path.read_bytes() == before
            Embeddings([[7.0]]).save(path, overwrite=True)
            assert Embeddings.load(path).features == 7
            Embeddings([[8.0]]).save(path)  # now lenskit wrote the file
            assert Embeddings.load(path).features == 8


@pytest.mark.parametrize("mine", ["notes.txt", "mask/zarr.json", "features/notes", "link"])
def test_what_others_put_into_a_group_is_never_removed(tmp_path: Path, mine: str) -> None:
    path = tmp_path / "features.zarr"
    Embeddings([[7.0]], {"theta_E": [1.0], "image": [2.0]}).save(path)
    (path / mine).parent.mkdir(exist_ok=True)
    if mine == "link":
        (path / mine).symlink_to(tmp_path)
    else:
        (path / mine).write_text("{}")
    with pytest.raises(
        UsageError, match=rf"features.zarr holds {mine.replace('zarr.json', '')}, which lenskit did not"
    ):
        Embeddings([[8.0]]).save(path, overwrite=True)
    assert os.path.lexists(path / mine)
    assert (path / "features" / "zarr.json").is_file()


@pytest.mark.parametrize("ending", ENDINGS)
def test_scratch_of_others_is_left_alone(tmp_path: Path, ending: str) -> None:
    mine = tmp_path / f".features{ending}.part"
    mine.mkdir()
    (mine / "notes").write_text("mine")
    Embeddings([[7.0]]).save(tmp_path / f"features{ending}")
    assert (mine / "notes").read_text() == "mine"


@pytest.mark.parametrize("name", ["features.csv", "features", "features.npy"])
def test_other_endings_are_told_before_anything_is_made(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match=f"embedding file must end with .fjson, .npz, .parquet, .zarr, but is {name}"):
        Embeddings([[1.0]]).save(tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def complaint(path: Path) -> str:
    """Return the error message about a file that cannot be opened."""
    with pytest.raises(LenskitError) as raised:
        Embeddings.load(path)
    text = str(raised.value)
    assert "\n" not in text
    assert path.name in text
    return text


@pytest.mark.parametrize("ending", [*ENDINGS, ".npy"])
def test_no_file_and_a_file_of_something_else(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"mine{ending}"
    assert not is_embeddings(path)
    assert complaint(path) == f"there are no embeddings at {path}"
    path.write_bytes(b"something else")
    assert "holds no embeddings, or is damaged" in complaint(path)


@pytest.mark.parametrize("ending", [".parquet", ".npz"])
def test_a_file_that_was_cut_short(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"mine{ending}"
    Embeddings(np.ones((50, 4))).save(path)
    path.write_bytes(path.read_bytes()[:-200])
    assert "is damaged" in complaint(path)


def test_files_without_features(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=np.ones((3, 2)), theta_E=np.ones(3))
    assert complaint(tmp_path / "a.npz").endswith("it has no column `features`, but x, theta_E")
    np.save(tmp_path / "b.npy", np.ones(3))
    assert "features must have shape (n, d), but have (3,)" in complaint(tmp_path / "b.npy")
    np.savez(tmp_path / "c.npz", features=np.ones((3, 2)), theta_E=np.ones(4))
    assert "theta_E must be 3 numbers" in complaint(tmp_path / "c.npz")
    np.savez(tmp_path / "d.npz", features=np.array([{"run": "code"}], dtype=object))
    assert "is damaged" in complaint(tmp_path / "d.npz")


def test_a_damaged_zarr_file(tmp_path: Path) -> None:
    path = tmp_path / "features.zarr"
    Embeddings(np.ones((50, 4)), {"theta_E": np.ones(50)}).save(path)
    chunk = path / "features" / "c.0.0"
    sound = chunk.read_bytes()

    chunk.unlink()
    assert "1 of 1 chunks of the array features are missing" in complaint(path)
    chunk.write_bytes(b"\1" + sound[1:])
    with pytest.raises(LenskitError, match="features.zarr/features is damaged"):
        Embeddings.load(path).features[np.array([3])]
    chunk.write_bytes(sound)

    (path / "theta_E" / "c.0").write_bytes(b"")
    assert "is damaged" in complaint(path)
    (path / "zarr.json").write_text("{")
    assert "is damaged" in complaint(path)


def test_features_on_disk_that_are_not_finite(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.array([[1.0], [np.inf]]))
    features = Embeddings.load(tmp_path / "a.npy").features
    assert features[np.array([0])] == 1
    with pytest.raises(LenskitError, match="a.npy holds features that are not finite"):
        features[:]


def test_a_later_version_is_refused(tmp_path: Path) -> None:
    Embeddings([[1.0]]).save(tmp_path / "a.zarr")
    card = tmp_path / "a.zarr" / "zarr.json"
    card.write_text(card.read_text().replace('"format_version": 1', '"format_version": 2'))
    assert complaint(tmp_path / "a.zarr") == f"{tmp_path}/a.zarr has format version 2, this lenskit reads 1"


@pytest.mark.parametrize("ending", [".parquet", ".npz", ".zarr"])
def test_numbers_that_float64_does_not_hold_are_left_out_and_named(tmp_path: Path, caplog, ending: str) -> None:
    path, n = tmp_path / f"mine{ending}", 3
    columns = {"features": np.ones((n, 2)), "oid": np.arange(n) + 2**60, "q": np.arange(n)}
    if ending == ".npz":
        np.savez(path, **columns)
    elif ending == ".zarr":
        group = zarr.open_group(path, mode="w")
        for name, values in columns.items():
            group.create_array(name, data=values)
    else:
        table = {name: pyarrow.array(list(values)) for name, values in columns.items()}
        parquet.write_table(pyarrow.table(table | {"gaps": pyarrow.array([2**60 + 1, None, 2])}), path)
    read = Embeddings.load(path)
    assert list(read.values) == ["q"]
    assert f"the column oid holds {2**60 + 1}, which float64 cannot represent, and is left out" in caplog.text
    with pytest.raises(UsageError, match=r"oid holds \d+, which float64 cannot represent: leave oid out"):
        Embeddings(np.ones((n, 2)), {"oid": columns["oid"]})


def test_files_that_would_take_more_memory_than_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LENSKIT_MAX_BYTES", "100000")
    np.savez_compressed(tmp_path / "a.npz", features=np.zeros((10**5, 1)))
    parquet.write_table(pyarrow.table({"features": pyarrow.array([[0.0]] * 10**5)}), tmp_path / "a.parquet")
    group = zarr.open_group(tmp_path / "a.zarr", mode="w")
    group.create_array("features", shape=(10**5, 1), chunks=(10**5, 1), dtype="f8")
    column = zarr.open_group(tmp_path / "b.zarr", mode="w")
    column.create_array("features", shape=(10**12, 1), chunks=(100, 1), dtype="f8")
    column.create_array("q", shape=(10**12,), chunks=(100,), dtype="f8")
    for name in ("a.npz", "a.parquet", "a.zarr", "b.zarr"):
        assert "bytes in memory, more than the limit of 100000; if the file can be" in complaint(tmp_path / name)


@pytest.mark.slow
@pytest.mark.parametrize("ending", ENDINGS)
def test_a_bit_that_changed_is_found(tmp_path: Path, ending: str) -> None:
    """The bit may be in features, values or names, in any file of the format."""
    path = tmp_path / f"a{ending}"
    rng = np.random.default_rng(0)
    features, values = rng.random((50, 4)), {"theta_E": rng.random(50)}
    names = [f"an image called {number}" for number in range(50)]
    Embeddings(features, values, names=names).save(path)
    files = (
        [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file() and file.name != "zarr.json"]
    )
    assert len(files) == (1 if path.is_file() else 5)
    for file in files:
        content = file.read_bytes()
        for place in range(8, len(content) - 8, max(1, len(content) // 40)):
            changed = bytearray(content)
            changed[place] ^= 1 << place % 8
            file.write_bytes(changed)
            try:
                found = Embeddings.load(path)
                np.testing.assert_array_equal(np.asarray(found.features), features)
            except LenskitError as error:
                assert path.name in str(error)  # noqa: PT017
                continue
            # A change without effect on a checksum, such as the date of a member, is harmless.
            np.testing.assert_array_equal(found.values["theta_E"], values["theta_E"])
            assert found.names == names
        file.write_bytes(content)
    assert Embeddings.load(path).names == names


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_full_disk_is_one_line_and_leaves_what_was_there(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"features{ending}"
    Embeddings([[7.0, 8.0]]).save(path)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (3000, before[1]))
    try:
        with pytest.raises(
            LenskitError, match=f"{path} cannot be written: File too large; an earlier file is unharmed"
        ):
            Embeddings(np.random.default_rng(0).random((1000, 8))).save(path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    np.testing.assert_array_equal(np.asarray(Embeddings.load(path).features), [[7, 8]])
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


CARDS = {
    "parameters = 3": ({"parameters": 3}, "wrong field parameters: "),
    "a name of 3": ({"parameters": [{"name": 3}]}, r"wrong field parameters\[0\].name: "),
    "no name": ({"parameters": [{}]}, r"lacks the field parameters\[0\].name"),
    "another field": ({"parameters": [{"name": "a", "colour": 1}]}, r"wrong field parameters\[0\].colour: "),
    "a spin": ({"parameters": [{"name": "flux", "spin": 2}]}, r"parameter 'flux' has spin 2"),
    "representations": ({"representations": {}}, "wrong field representations: "),
    "another version": ({"format_version": 10**30}, "has format version 1000"),
}


@pytest.mark.parametrize("case", CARDS)
def test_a_wrong_field_of_the_card_is_named(tmp_path: Path, case: str) -> None:
    path = tmp_path / "features.zarr"
    Embeddings(np.ones((5, 4)), {"theta_E": np.ones(5)}).save(path)
    group = json.loads((path / "zarr.json").read_text())
    group["attributes"] |= CARDS[case][0]
    (path / "zarr.json").write_text(json.dumps(group))
    assert re.search(CARDS[case][1], complaint(path))


def test_a_card_that_was_changed_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "features.zarr"
    Embeddings(np.ones((5, 4)), {"theta_E": np.ones(5)}, about={3: (1, 2.5), "a": None}).save(path)
    Embeddings.load(path)
    assert not caplog.text
    text = (path / "zarr.json").read_text()
    (path / "zarr.json").write_text(text.replace('"unit": ""', '"unit": "s"'))
    assert Embeddings.load(path).parameters[0].unit == "s"
    assert "features.zarr: the checksum of its metadata is wrong" in caplog.text
