"""HDF5 files equal those of h5py, and a full disk at any moment is an error."""

from __future__ import annotations

import errno
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np
import pytest

from lenskit.errors import LenskitError
from lenskit.hdf5_file import new_hdf5

IMAGES = np.arange(100 * 64, dtype=np.float32).reshape(100, 8, 8)


@contextmanager
def longest(size: int) -> Iterator[None]:
    """Limit the length of files, as on a disk that is nearly full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def write(path: Path, *, at_once: bool = True) -> None:
    with new_hdf5(path) as (file, check):
        images = file.create_dataset("images", IMAGES.shape, "f4", chunks=(1, 8, 8), fletcher32=True)
        for number, image in enumerate(IMAGES):
            images[number] = image
            if at_once:
                check()
        images.attrs["units"] = "1"
        file.create_dataset("names", data=["a"] * 100, dtype=h5py.string_dtype())


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    write(tmp_path / "a.h5")
    with h5py.File(tmp_path / "a.h5") as file:
        np.testing.assert_array_equal(file["images"][:], IMAGES)
        assert (file["images"].attrs["units"], file["names"][99]) == ("1", b"a")


@pytest.mark.parametrize("at_once", [True, False])
def test_a_full_disk_is_an_error_at_any_moment(at_once: bool, tmp_path: Path) -> None:
    write(tmp_path / "whole.h5")
    size = (tmp_path / "whole.h5").stat().st_size
    for limit in (1, 100, 2000, size // 3, size // 2, size - 3000, size - 1):
        with longest(limit), pytest.raises(OSError, match="File too large") as caught:
            write(tmp_path / "a.h5", at_once=at_once)
        assert caught.value.errno == errno.EFBIG
    with longest(size):
        write(tmp_path / "a.h5", at_once=at_once)
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "whole.h5").read_bytes()


def test_what_goes_wrong_in_between_is_told_as_it_is(tmp_path: Path) -> None:
    with pytest.raises(LenskitError, match="an image is not finite"), new_hdf5(tmp_path / "a.h5"):
        raise LenskitError("an image is not finite")
