"""Safe access to HDF5 files: no other files, and no chunk above the memory limit."""

from __future__ import annotations

import math
import os
from typing import Any

from lenskit.errors import LenskitError
from lenskit.reading.limits import check_bytes

MOST_LINKS = 16
"""Maximum length of a chain of links, the same as in HDF5."""


def hdf5_item(file: Any, name: str) -> Any:
    """Return the data set or group of this name.

    Args:
        file: An open `h5py.File`.
        name: Full name, such as `train/images`.

    Raises:
        KeyError: The file has no item of this name.
        LenskitError: The item is in another file or needs another file. Or reading one of its chunks takes more memory
            than the limit; a compressed chunk takes twice its size.
    """
    return _item(file, file, name, name, MOST_LINKS)


def _item(file: Any, place: Any, path: str, name: str, most: int) -> Any:
    """Return the item at a path below `place`; `name` is the full path for messages."""
    import h5py

    if not most:
        raise KeyError(f"too many links lead to {name}")
    if path.startswith("/"):
        place = file
    for part in filter(None, path.split("/")):
        if not isinstance(place, h5py.Group):
            raise KeyError(f"{name} does not exist: {place.name} is not a group")
        link = place.get(part, getlink=True) if part != "." else None
        if isinstance(link, h5py.ExternalLink):
            raise _outside(file, name, f"is a link to {link.filename}")
        place = _item(file, place, link.path, name, most - 1) if isinstance(link, h5py.SoftLink) else place[part]
    if isinstance(place, h5py.Dataset):
        _check_dataset(file, name, place, most)
    return place


def _check_dataset(file: Any, name: str, data: Any, most: int) -> None:
    if data.external:
        raise _outside(file, name, f"has its values in {data.external[0][0]}")
    if data.is_virtual:
        for source in data.virtual_sources():
            if source.file_name != ".":
                raise _outside(file, name, f"has its values in {source.file_name}")
            _item(file, file, source.dset_name, name, most - 1)
    if data.chunks:
        size = math.prod(data.chunks) * data.dtype.itemsize
        # A filter unpacks a chunk into a temporary buffer, from which the values are copied.
        if data.id.get_create_plist().get_nfilters() and size > os.path.getsize(file.filename):
            check_bytes(file.filename, 2 * size, f"{name} (twice one chunk, to unpack it)")
        check_bytes(file.filename, size, f"{name} (one chunk)")


def _outside(file: Any, name: str, why: str) -> LenskitError:
    return LenskitError(
        f"{file.filename}: {name} {why}: other files are not read; if the file can be trusted, copy its values into "
        f"a new file with h5py, new[{name!r}] = old[{name!r}][...]"
    )
