"""Image and number from a pickled numpy array, read without executing the pickle.

`np.save` pickles arrays of Python objects, and a pickle can call any function. Here the pickle becomes a tree of
records: each record has the name of a function of numpy and its arguments, and the function is not called. Arrays and
numbers are then created from the bytes in the records, so that they need no more memory than the length of the file.
"""

from __future__ import annotations

import math
import pickle
import pickletools
import re
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import IO, Any, NoReturn

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from lenskit.plugin import UsageError
from lenskit.toolbox import quoted

ADMITTED = {
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    ("_codecs", "encode"),
    *((f"numpy.{core}.multiarray", name) for core in ("core", "_core") for name in ("_reconstruct", "scalar")),
}
"""Functions and classes in pickles of arrays and numbers, from protocol 2 on, by numpy 1 and 2."""

# fmt: off
OPCODES = frozenset((
    "PROTO", "FRAME", "STOP", "MARK", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3", "EMPTY_TUPLE", "EMPTY_LIST", "APPEND",
    "APPENDS", "NONE", "NEWTRUE", "NEWFALSE", "BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "SHORT_BINUNICODE",
    "BINUNICODE", "BINUNICODE8", "SHORT_BINBYTES", "BINBYTES", "BINBYTES8", "GLOBAL", "STACK_GLOBAL", "REDUCE",
    "BUILD", "MEMOIZE", "BINPUT", "LONG_BINPUT", "BINGET", "LONG_BINGET",
))
# fmt: on
"""Opcodes in such pickles. Others are refused; for example, hashing the keys of a dictionary can take forever."""

MOST_OPCODES = 1000
"""Largest number of opcodes of a pickle; an image and a number take about 60."""

NUMBERS = re.compile("[fiub][1248]")
"""Types of numbers, under numpy's names in pickles."""


def holds_objects(file: Path) -> bool:
    """Whether a file is an .npy file of Python objects, by its header.

    Raises:
        ValueError: The header is damaged.
    """
    with open(file, "rb") as stream:
        if stream.read(len(npy.MAGIC_PREFIX)) != npy.MAGIC_PREFIX:
            return False
        stream.seek(0)
        return bool(_header(stream)[1].hasobject)


def read_pair(file: Path) -> tuple[NDArray[Any], float]:
    """Return the image and the number of a pickled pair.

    The file was written by `np.save(file, np.array([image, number], dtype=object))`.

    Args:
        file: An .npy file of Python objects.

    Returns:
        The image (H, W) of real numbers, read-only, and the number.

    Raises:
        UsageError: The file has any other content, which is not executed.
        Exception: Of any type, if the file is damaged.
    """
    with open(file, "rb") as stream:
        shape, _ = _header(stream)
        if shape != (2,):
            _refuse(file, f"an object array of the shape {shape}")
        data = stream.read()
    _check_opcodes(file, data)
    tree = _Records(file, data).load()
    items = _state(tree, "_reconstruct")
    if items is None or items[1] != (2,) or not isinstance(items[4], list) or len(items[4]) != 2:
        _refuse(file, "something else")
    image, number = _array(items[4][0]), _number(items[4][1])
    if image is None or image.ndim != 2:
        _refuse(file, "an object array whose first item is not an image (height, width) of real numbers")
    if number is None:
        _refuse(file, "an object array whose second item is not a number")
    return image, number


def _header(stream: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Return the shape and type of an array."""
    version = npy.read_magic(stream)
    read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    shape, _, kind = read(stream)
    return shape, kind


def _refuse(file: Path, found: str) -> NoReturn:
    raise UsageError(
        f"{file} holds {found}; the only Python objects that are read are a pair of an image (height, width) and a "
        "number"
    )


def _check_opcodes(file: Path, data: bytes) -> None:
    """Check the opcodes of a pickle before it is loaded.

    Opcodes that arrays do not need, lengths beyond the data, and a memo of gigabytes are refused.
    """
    for number, (opcode, argument, _) in enumerate(pickletools.genops(data)):
        if opcode.name not in OPCODES or number >= MOST_OPCODES:
            _refuse(file, "a pickle of other Python objects")
        if opcode.name == "LONG_BINPUT" and int(argument or 0) >= MOST_OPCODES:
            _refuse(file, "a damaged pickle")


@dataclass
class _Record:
    """Recorded call of a function, and the state for its result."""

    function: str
    arguments: tuple[Any, ...]
    state: Any = None

    def __setstate__(self, state: Any) -> None:
        self.state = state


class _Function:
    """Stand-in for a function or class that records its calls."""

    __slots__ = ("_name",)

    def __init__(self, name: str) -> None:
        self._name = name

    def __call__(self, *arguments: Any) -> _Record:
        return _Record(self._name, arguments)

    def __setstate__(self, state: Any) -> None:
        raise pickle.UnpicklingError(f"{self._name} takes no state")


class _Records(pickle.Unpickler):
    """Unpickler that records calls of functions instead of calling them."""

    def __init__(self, file: Path, data: bytes) -> None:
        super().__init__(BytesIO(data))
        self._file = file

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in ADMITTED:
            _refuse(self._file, f"a pickle that asks for {quoted(f'{module}.{name}')}, which is not run")
        return _Function(name)


def _state(item: Any, function: str) -> tuple[Any, ...] | None:
    """Return the state of a record of a function; None if it is not such a record."""
    if not isinstance(item, _Record) or item.function != function or not isinstance(item.state, tuple):
        return None
    return item.state if len(item.state) >= 5 else None


def _array(item: Any) -> NDArray[Any] | None:
    """Return the array of real numbers that a record describes."""
    state = _state(item, "_reconstruct")
    if state is None:
        return None
    _, shape, kind, fortran, data = state[:5]
    numbers, stored = _type(kind), _bytes(data)
    if numbers is None or stored is None or not isinstance(shape, tuple):
        return None
    if not all(type(length) is int and length >= 0 for length in shape):
        return None
    if math.prod(shape) * numbers.itemsize != len(stored):
        raise ValueError(f"an array {shape} of {numbers} does not take {len(stored)} bytes")
    return np.frombuffer(stored, numbers).reshape(shape, order="F" if fortran is True else "C")


def _number(item: Any) -> float | None:
    """Return the number of an item: Python's, numpy's scalar or an array without axes."""
    if type(item) in (int, float):
        return float(item)
    if isinstance(item, _Record) and item.function == "scalar" and len(item.arguments) == 2:
        numbers, stored = _type(item.arguments[0]), _bytes(item.arguments[1])
        if numbers is None or stored is None or len(stored) != numbers.itemsize:
            return None
        return float(np.frombuffer(stored, numbers)[0])
    array = _array(item)
    return float(array[()]) if array is not None and array.ndim == 0 else None


def _type(item: Any) -> np.dtype[Any] | None:
    """Return the type of real numbers that a record describes."""
    state = _state(item, "dtype")
    name = item.arguments[0] if state is not None and item.arguments else None
    if (
        state is None
        or not isinstance(name, str)
        or not NUMBERS.fullmatch(name)
        or state[1] not in ("<", ">", "|", "=")
    ):
        return None
    return np.dtype(f"{state[1]}{name}")


def _bytes(item: Any) -> bytes | None:
    """Return bytes, which protocol 2 stores as text."""
    if isinstance(item, _Record) and item.function == "encode" and len(item.arguments) == 2:
        text, encoding = item.arguments
        return text.encode("latin1") if isinstance(text, str) and encoding == "latin1" else None
    return item if isinstance(item, bytes) else None
