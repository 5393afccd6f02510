"""HDF5 items within the file and in other files."""

from __future__ import annotations

from collections.abc import Iterator

import h5py
import numpy as np
import pytest

from lenskit.errors import LenskitError
from lenskit.reading.hdf5_file import hdf5_item
from lenskit.reading.limits import VARIABLE


@pytest.fixture
def file() -> Iterator[h5py.File]:
    with h5py.File("other.h5", "w") as other:
        other["x"] = np.arange(4.0)
    np.arange(4.0).tofile("raw")
    with h5py.File("a.h5", "w") as opened:
        opened["group/x"] = np.arange(4.0)
        yield opened


def virtual(file: h5py.File, name: str, source: str, data: str) -> None:
    layout = h5py.VirtualLayout((4,), "f8")
    layout[:] = h5py.VirtualSource(source, data, (4,))
    file.create_virtual_dataset(name, layout)


def test_links_and_virtual_data_sets_within_the_file(file: h5py.File) -> None:
    file["soft"] = h5py.SoftLink("/group")
    file["group/near"] = h5py.SoftLink("x")
    file["hard"] = file["group/x"]
    virtual(file, "virtual", ".", "group/x")
    for name in ("group/x", "/group/x", "soft/x", "soft/near", "hard", "virtual", "soft/./x"):
        np.testing.assert_array_equal(hdf5_item(file, name)[...], np.arange(4.0))
    assert hdf5_item(file, "soft").name == "/group"


def test_nothing_of_another_file_is_read(file: h5py.File) -> None:
    file["link"] = h5py.ExternalLink("other.h5", "x")
    file["elsewhere"] = h5py.ExternalLink("missing.h5", "/")
    file["soft"] = h5py.SoftLink("/link")
    file.create_dataset("raw", (4,), "f8", external=[("raw", 0, 32)])
    virtual(file, "virtual", "other.h5", "x")
    virtual(file, "indirect", ".", "link")
    virtual(file, "stored", ".", "raw")
    for name in ("link", "elsewhere/x", "soft", "raw", "virtual", "indirect", "stored"):
        with pytest.raises(LenskitError, match=rf"^a.h5: {name} .*: other files are not read") as error:
            hdf5_item(file, name)
        assert "\n" not in str(error.value)


def test_what_the_message_advises(file: h5py.File) -> None:
    virtual(file, "virtual", "other.h5", "x")
    with pytest.raises(LenskitError) as error, h5py.File("new.h5", "w") as new:
        hdf5_item(file, "virtual")
    with h5py.File("new.h5", "w") as new:
        exec(str(error.value).partition("with h5py, ")[2], {"new": new, "old": file})
        np.testing.assert_array_equal(hdf5_item(new, "virtual")[...], np.arange(4.0))


@pytest.mark.parametrize("name", ["missing", "group/missing", "group/x/y", "loop", "dangling"])
def test_what_is_not_there(file: h5py.File, name: str) -> None:
    file["loop"], file["loop2"] = h5py.SoftLink("/loop2"), h5py.SoftLink("/loop")
    file["dangling"] = h5py.SoftLink("/nowhere")
    with pytest.raises(KeyError):
        hdf5_item(file, name)


def test_a_chunk_is_not_larger_than_the_limit(file: h5py.File, monkeypatch: pytest.MonkeyPatch) -> None:
    file.create_dataset("z", (10**6,), "f8", chunks=(10**6,), compression="gzip")
    hdf5_item(file, "z")
    file.create_dataset("plain", (10**6,), "f8", chunks=(10**6,))
    for limit in (1_000_000, 8_000_000, 15_999_999):
        monkeypatch.setenv(VARIABLE, str(limit))
        with pytest.raises(LenskitError, match=r"a.h5: z \(twice one chunk, .*\) takes 16000000 bytes"):
            hdf5_item(file, "z")
    monkeypatch.setenv(VARIABLE, "16000000")
    hdf5_item(file, "z")
    monkeypatch.setenv(VARIABLE, "7999999")
    with pytest.raises(LenskitError, match=r"a.h5: plain \(one chunk\) takes 8000000 bytes"):
        hdf5_item(file, "plain")
    monkeypatch.setenv(VARIABLE, "8000000")
    hdf5_item(file, "plain")


def test_a_compressed_chunk_no_larger_than_its_file_is_read(file: h5py.File, monkeypatch: pytest.MonkeyPatch) -> None:
    noise = np.random.default_rng(0).integers(0, 256, 10**5, "u1")
    file.create_dataset("z", data=noise, chunks=(10**5,), compression="gzip")
    file["more"] = noise
    file.flush()
    monkeypatch.setenv(VARIABLE, "1000")
    assert hdf5_item(file, "z").shape == (10**5,)
