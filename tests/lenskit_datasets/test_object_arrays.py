"""Pickled pairs of image and number are read; nothing in a pickle is executed."""

from __future__ import annotations

import os
import pickle
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as of_numpy

from lenskit.errors import UsageError
from lenskit_datasets.object_arrays import holds_objects, read_pair

HEADER = b"\x93NUMPY\x01\x00v\x00" + b"{'descr': '|O', 'fortran_order': False, 'shape': (2,), }".ljust(117) + b"\n"


def objects(*items: Any) -> np.ndarray:
    array = np.empty(len(items), object)
    for number, item in enumerate(items):
        array[number] = item
    return array


def saved(folder: Path, array: np.ndarray, protocol: int | None = None) -> Path:
    """Save an array as `np.save` does, with a pickle protocol."""
    file = folder / "pair.npy"
    if protocol is None:
        np.save(file, array, allow_pickle=True)
    else:
        file.write_bytes(HEADER + pickle.dumps(array, protocol))
    return file


@given(
    image=of_numpy.arrays(
        st.sampled_from(["f8", ">f4", "f2", "u1", ">i2", "?"]), of_numpy.array_shapes(min_dims=2, max_dims=2)
    ),
    number=st.one_of(
        st.floats(allow_nan=False),
        st.integers(-(2**40), 2**40),
        st.floats(width=32, allow_nan=False).map(np.float32),
        st.floats(allow_nan=False).map(np.array),
    ),
    fortran=st.booleans(),
    protocol=st.sampled_from([None, 2, 3, 4]),
)
@settings(max_examples=50, deadline=None)
def test_what_numpy_saves_is_read(
    tmp_path_factory: pytest.TempPathFactory, image: np.ndarray, number: Any, fortran: bool, protocol: int | None
) -> None:
    image = np.asfortranarray(image) if fortran else image
    file = saved(tmp_path_factory.mktemp("pair"), objects(image, number), protocol)
    assert holds_objects(file)
    found, value = read_pair(file)
    assert (found.dtype, value) == (image.dtype, float(number))
    np.testing.assert_array_equal(found, image)


def test_pickles_of_numpy_1_are_read(tmp_path: Path) -> None:
    """The file differs only in the name of a module and its length, a byte before it."""
    file = saved(tmp_path, objects(np.eye(3), np.float64(1e-23)), 3)
    data = file.read_bytes().replace(b"cnumpy._core.multiarray", b"cnumpy.core.multiarray")
    file.write_bytes(data)
    found, value = read_pair(file)
    assert (found.tolist(), value) == (np.eye(3).tolist(), 1e-23)


class Runs:
    """Object that makes a file when it is unpickled."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self) -> Any:
        return os.system, (self.command,)


@pytest.mark.parametrize("place", [0, 1, None])
def test_code_is_not_run(tmp_path: Path, place: int | None) -> None:
    made = tmp_path / "made"
    bad, good = Runs(f"touch {made}"), [np.eye(3), 1e-23]
    if place is None:
        file = tmp_path / "pair.npy"
        file.write_bytes(HEADER + pickle.dumps(bad))
    else:
        file = saved(tmp_path, objects(*(bad if number == place else item for number, item in enumerate(good))))
    with pytest.raises(
        UsageError, match=r"pair\.npy holds a pickle that asks for '\w+\.system', which is not run"
    ) as error:
        read_pair(file)
    assert "\n" not in str(error.value)
    assert not made.exists()
    pickle.loads(pickle.dumps(bad))  # shows that the pickle makes the file
    assert made.exists()


NUMPY = b"cnumpy\nndarray\n"


@pytest.mark.parametrize(
    "data",
    [
        b"\x80\x02cnumpy.core.multiarray\nscalar\n}(X\x0c\0\0\0__defaults__)ub.",  # attributes of a function
        b"\x80\x02" + NUMPY + b"N}X\x01\0\0\0aNs\x86b.",  # attributes of a class
        b"\x80\x04" + NUMPY + b")\x81.",  # an object without its constructor
        b"\x80\x02Nr" + struct.pack("<I", 2**31) + b".",  # an index of the memo that needs 32 GB
        b"\x80\x05\x96" + struct.pack("<Q", 2**40) + b".",  # a terabyte of zeros
        b"\x80\x04\x8e" + struct.pack("<Q", 2**40) + b".",
        b"\x80\x02)" + 200 * b"2\x86" + b"N}\x85s.",  # a key whose hash takes forever
        b"\x80\x02" + 10_000 * b"N0" + b"N.",
        b"\x80\x02Pname\n.",
        b"\x80\x02\x82\x01.",
    ],
)
def test_pickles_made_to_harm_are_refused(tmp_path: Path, data: bytes) -> None:
    file = tmp_path / "pair.npy"
    file.write_bytes(HEADER + data)
    with pytest.raises((UsageError, ValueError, TypeError, pickle.UnpicklingError)):
        read_pair(file)
    assert np.float64(1) + np.zeros(1)[0] == 1


@pytest.mark.parametrize(
    ("items", "complaint"),
    [
        ((np.eye(3),), r"an object array of the shape \(1,\)"),
        ((np.eye(3), 1e-23, 2), r"an object array of the shape \(3,\)"),
        ((1e-23, np.eye(3)), r"whose first item is not an image"),
        ((np.zeros((2, 3, 3)), 1e-23), r"whose first item is not an image"),
        ((np.eye(3) * 1j, 1e-23), r"whose first item is not an image"),
        ((objects(1, 2), 1e-23), r"whose first item is not an image"),
        ((np.eye(3), "1e-23"), r"whose second item is not a number"),
        ((np.eye(3), None), r"whose second item is not a number"),
        ((np.eye(3), np.complex64(1)), r"whose second item is not a number"),
        ((np.eye(3), {1: 2}), r"a pickle of other Python objects"),
    ],
)
def test_other_objects_are_refused(tmp_path: Path, items: tuple[Any, ...], complaint: str) -> None:
    with pytest.raises(
        UsageError, match=rf"pair\.npy holds .*{complaint}.*; the only Python objects that are read"
    ) as error:
        read_pair(saved(tmp_path, objects(*items)))
    assert "\n" not in str(error.value)


@pytest.mark.slow
def test_any_part_of_a_file_or_damage_to_it_gives_an_error_or_a_pair(tmp_path: Path) -> None:
    file = saved(tmp_path, objects(np.eye(3), 1e-23))
    whole = file.read_bytes()
    for end in range(len(whole)):
        file.write_bytes(whole[:end])
        with pytest.raises(Exception):  # noqa: B017, PT011 - of any type: the reader adds the file's name
            read_pair(file)
    for place in range(len(whole)):
        file.write_bytes(whole[:place] + bytes([whole[place] ^ 0x15]) + whole[place + 1 :])
        try:
            image, _ = read_pair(file)
        except Exception:
            continue
        assert image.ndim == 2
