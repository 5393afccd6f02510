"""numpy files whose archives or headers demand more memory than the limit."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path

import numpy as np
import pytest
from numpy.lib import format as npy

from lenskit.errors import LenskitError
from lenskit.reading.limits import VARIABLE
from lenskit.reading.numpy_file import load_array, open_arrays


def announce(path: Path, shape: tuple[int, ...], content: bytes = b"") -> None:
    with path.open("wb") as file:
        npy.write_array_header_2_0(file, {"descr": "<f8", "fortran_order": False, "shape": shape})
        file.write(content)


def test_arrays_are_read_as_numpy_reads_them() -> None:
    array = np.arange(6.0).reshape(2, 3)
    np.save("a.npy", array)
    np.testing.assert_array_equal(load_array("a.npy"), array)
    np.savez_compressed("a.npz", x=array, words=np.array(["a"]), none=np.zeros((0, 3)))
    for source in ("a.npz", Path("a.npz")):
        with open_arrays(source) as arrays:
            np.testing.assert_array_equal(arrays["x"], array)
            assert (arrays["words"].tolist(), arrays["none"].shape) == (["a"], (0, 3))
    with Path("a.npz").open("rb") as file, open_arrays(file) as arrays:
        np.testing.assert_array_equal(arrays["x"], array)


def test_a_header_that_announces_more_than_there_is() -> None:
    announce(Path("a.npy"), (10**6, 10**6), b"\0" * 80)
    with pytest.raises(ValueError, match="file size"):
        load_array("a.npy")
    for kind in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        with zipfile.ZipFile("a.npz", "w", kind) as archive:
            archive.write("a.npy", "features.npy")
        with pytest.raises(ValueError, match=r"features.npy should have an array \(1000000, 1000000\) of float64"):
            open_arrays("a.npz").__enter__()


def test_an_archive_that_unpacks_to_more_than_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    np.savez_compressed("a.npz", x=np.zeros(10**6), y=np.zeros(10**5))
    monkeypatch.setenv(VARIABLE, "8000000")
    with pytest.raises(LenskitError, match=r"^a.npz takes 8800\d+ bytes in memory") as error:
        open_arrays("a.npz").__enter__()
    monkeypatch.setenv(*re.search(r"(\w+)=(\d+)$", str(error.value)).groups())
    with open_arrays("a.npz") as arrays:
        assert arrays["x"].shape == (10**6,)
    monkeypatch.setenv(VARIABLE, "10")
    np.savez("b.npz", x=np.zeros(10))  # not compressed: no larger than the file
    with open_arrays("b.npz") as arrays:
        assert arrays["x"].shape == (10,)


def test_an_archive_that_is_damaged() -> None:
    np.savez_compressed("a.npz", x=np.random.default_rng(0).normal(size=1000))
    content = bytearray(Path("a.npz").read_bytes())
    for place in range(100, 4000, 300):
        Path("b.npz").write_bytes(content[:place] + bytes([content[place] ^ 0x55]) + content[place + 1 :])
        with pytest.raises((ValueError, zipfile.BadZipFile)), open_arrays("b.npz") as arrays:
            arrays["x"]


def test_what_is_no_array() -> None:
    np.savez("a.npz", x=np.ones(3))
    with pytest.raises(ValueError, match="archive of arrays"):
        load_array("a.npz")
    np.save("b.npy", np.array([{"run": "code"}], object))
    with pytest.raises(ValueError, match="Python objects"):
        load_array("b.npy")
    Path("c.npy").write_text("1 2 3")
    with pytest.raises(ValueError, match="it is not a numpy file"):
        load_array("c.npy")
    with pytest.raises(zipfile.BadZipFile):
        open_arrays("b.npy").__enter__()
