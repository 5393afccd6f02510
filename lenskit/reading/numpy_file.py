"""Reader of numpy files, without pickles and within the memory limit."""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any
from zipfile import ZIP_STORED, BadZipFile, ZipFile, ZipInfo

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from lenskit.reading.limits import check_bytes


def load_array(file: Path | str) -> NDArray[Any]:
    """Return the array of an .npy file, mapped into memory.

    Because of the mapping, a header that states more data than the file has is an error.

    Raises:
        ValueError: The file is not an .npy file, is cut short, or holds Python objects.
    """
    with open(file, "rb") as stream:
        start = stream.read(len(npy.MAGIC_PREFIX))
    if start and not start.startswith((npy.MAGIC_PREFIX, b"PK")):  # numpy would treat it as a pickle
        raise ValueError("it is not a numpy file")
    array = np.load(file, mmap_mode="r", allow_pickle=False)
    if not isinstance(array, np.ndarray):
        array.close()
        raise ValueError("it is an archive of arrays (.npz), not one array (.npy)")
    return array


@contextmanager
def open_arrays(file: Path | str | IO[bytes]) -> Iterator[Any]:
    """Open the arrays of an .npz file, by name.

    Raises:
        LenskitError: The unpacked arrays take more memory than the limit.
        ValueError, zipfile.BadZipFile: The file is not an .npz file, or is damaged.
    """
    try:
        with ZipFile(file) as archive:
            members = archive.infolist()
            for member in members:
                _check_header(archive, member)
            check_bytes(str(file), sum(member.file_size for member in members if member.compress_type != ZIP_STORED))
            # Verify checksums here, because zipfile does so only at the end of a member, which numpy may not read.
            if damaged := archive.testzip():
                raise BadZipFile(f"the checksum of {damaged[:80]!r} in it is wrong")
    except (RuntimeError, zlib.error) as error:  # encrypted, packed by an unknown method, or damaged
        raise ValueError(str(error)) from error
    if not isinstance(file, Path | str):
        file.seek(0)
    with np.load(file, allow_pickle=False) as arrays:
        try:
            yield arrays
        except zlib.error as error:
            raise ValueError(str(error)) from error


def _check_header(archive: ZipFile, member: ZipInfo) -> None:
    """Check that a member has all data that its header states.

    numpy allocates the memory before it reads the data.
    """
    if not member.filename.endswith(".npy"):
        return
    with archive.open(member) as stream:
        version = npy.read_magic(stream)
        read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, _, kind = read(stream)
    there = min(member.file_size, member.compress_size) if member.compress_type == ZIP_STORED else member.file_size
    if not kind.hasobject and math.prod(shape) * kind.itemsize > there:
        raise ValueError(f"{member.filename} should have an array {shape} of {kind}, but holds {there} bytes")
