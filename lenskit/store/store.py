"""Reading of a Zarr store of simulated images.

```
pairs.zarr/                     a Zarr v3 group with the attributes of `Plan.attributes`, and `complete`
  images/                       (lens, view, channel, y, x); one file per chunk with a checksum; fill value NaN
  theta_E/ ...                  one coordinate per parameter: (lens,) if all images of a lens share it, or (lens, view)
  channel/, y/, x/              coordinates of pixels; y and x in arcsec if the pixel scale is known
  staging/                      (lens, view, parameter): the parameters, until the store is complete
```

The parameters of a chunk are written before its images, so a chunk with images is done. Chunks are written atomically.
They are not compressed, so all their files have the same known size.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lenskit.errors import LenskitError, UsageError, too_many_files
from lenskit.kinds.parameter import Parameter
from lenskit.reading.limits import check_bytes
from lenskit.records import Record, load_json
from lenskit.store.plan import FORMAT, Plan, checked_attributes

IMAGES, STAGING = "images", "staging"
AXES = ("lens", "view", "channel", "y", "x")
CHECKSUM_BYTES = 4
PIECE = 2**18
"""Number of bytes read at a time; the checksum is then computed while they are in the processor's cache."""
FAULTS = (ValueError, KeyError, TypeError, OSError, RuntimeError)
"""Errors that Zarr and its codecs raise for a damaged file."""

SizeOf = Callable[[str], int | None]
"""Function from the name of a file in some folder to its size; None if there is no such file."""


class Unsound(LenskitError):
    """Error of a missing or damaged file of a store.

    Args:
        message: File, fault and remedy.
        told: Fault and remedy, without the file.
    """

    def __init__(self, message: str, told: str = "") -> None:
        super().__init__(message)
        self.told = told


def coordinate_name(parameter: Parameter) -> str:
    """Return the name of a parameter's array.

    It is the parameter's name, with the prefix `parameter_` if another array or axis has that name.
    """
    return f"parameter_{parameter.name}" if parameter.name in (IMAGES, STAGING, *AXES) else parameter.name


class Store:
    """A store on disk, complete or not.

    Args:
        path: Folder of the store.

    Raises:
        UsageError: The folder is not a store, or has a different version of the format.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        if not self.path.exists():
            raise UsageError(f"there is no store {self.path}")
        try:
            card = _load_card(self.path)
        except LenskitError as error:
            raise UsageError(f"{self.path} is not a store of simulated pairs: {error}") from None
        self.attributes = checked_attributes(self.path, card)
        self.plan = Plan.from_attributes(self.attributes)

    @property
    def complete(self) -> bool:
        """Whether the store was filled and finished."""
        return self.attributes["complete"]

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """The recorded parameters."""
        return self.plan.parameters

    @property
    def finish_with(self) -> str:
        """Command that makes the missing chunks."""
        return f"lenskit simulate --out {self.path}"

    def chunk_file(self, chunk: int) -> Path:
        """Return the path of a chunk's images."""
        return self.path / IMAGES / f"c.{chunk}.0.0.0.0"

    def missing(self) -> list[int]:
        """Return the missing chunks, including those that were cut short or removed."""
        images, staged = sizes_in(self.path / IMAGES), sizes_in(self.path / STAGING)
        return [chunk for chunk in range(self.plan.chunks) if self._lacks(chunk, images.get, staged.get)]

    def lacks(self, chunk: int) -> bool:
        """Whether a chunk is missing."""
        return self._lacks(
            chunk, lambda name: size_of(self.path / IMAGES / name), lambda name: size_of(self.path / STAGING / name)
        )

    def _lacks(self, chunk: int, image_size: SizeOf, staged_size: SizeOf) -> bool:
        plan = self.plan
        image_bytes = int(np.prod(plan.shape[1:])) * np.dtype(plan["dtype"]).itemsize
        if image_size(self.chunk_file(chunk).name) != plan["chunk"] * image_bytes + CHECKSUM_BYTES:
            return True
        value_bytes = 8 * plan["views"] * max(1, len(plan.parameters))
        return not self.complete and staged_size(f"c.{chunk}.0.0") != plan["chunk"] * value_bytes + CHECKSUM_BYTES

    def read(self, chunk: int, into: NDArray[Any] | None = None) -> NDArray[Any]:
        """Return the images of a chunk, (n, views, channels, height, width), as stored.

        The images are finite.

        Args:
            chunk: Number of the chunk.
            into: Contiguous array for the images, with the shape of a whole chunk; None for a new array.

        Raises:
            LenskitError: The chunk is missing, or its checksum is wrong.
        """
        file, lenses = self.chunk_file(chunk), self.plan.lenses_of(chunk)
        # Zarr would read a missing chunk as NaN.
        if not file.is_file():
            raise self._unsound(file, "is missing", "make it with")
        images = self._sound(self._metadata, lambda: self.images)
        whole = self._sound(file, lambda: _uncompressed(file, images, into), "remove it and make it again with")
        return whole[: len(lenses)]

    def values(self, parameter: Parameter) -> NDArray[np.float64]:
        """Return the values of a parameter.

        Returns:
            (lenses,), or (lenses, views) if the images of a lens do not share the parameter.

        Raises:
            LenskitError: The store is incomplete, or the values are damaged.
        """
        if not self.complete:
            raise LenskitError(
                f"{self.path} is incomplete: {len(self.missing())} of {self.plan.chunks} chunks are missing; "
                f"finish it with: {self.finish_with}"
            )
        return self.coordinate(coordinate_name(parameter))

    def coordinate(self, name: str) -> NDArray[Any]:
        """Return all values of a parameter or an axis, by the name of its array.

        Raises:
            LenskitError: The array is missing or damaged.
        """
        folder = self.path / name
        array = self._sound(folder, lambda: open_array(folder))
        check_bytes(folder, array.nbytes)
        chunks = -(-array.shape[0] // array.chunks[0])
        ending = ".0" * (array.ndim - 1)
        for chunk in range(chunks):
            if not (file := folder / f"c.{chunk}{ending}").is_file():
                raise self._unsound(file, "is missing", "make it with")
        return self._sound(folder, lambda: array[...])

    def check(self) -> Iterator[tuple[str, str]]:
        """Read all files, and yield the name and the fault of each part.

        The fault of an undamaged part is empty. Parts are the metadata of the images, the chunks of images, and the
        parameters and axes. In an incomplete store, chunks of parameters and the store itself take the place of the
        parameters and axes.
        """
        metadata = self._checked(self._metadata, lambda: self._sound(self._metadata, lambda: self.images))
        yield metadata
        # With damaged metadata no chunk can be read, so the chunks are not checked.
        for chunk in () if metadata[1] else range(self.plan.chunks):
            yield self._checked(self.chunk_file(chunk), partial(self.read, chunk))
        if self.complete:
            for name in (*AXES[2:], *map(coordinate_name, self.parameters)):
                yield self._checked(self.path / name, partial(self.coordinate, name))
            return
        for chunk in range(self.plan.chunks):
            if (file := self.path / STAGING / f"c.{chunk}.0.0").is_file():
                yield self._checked(file, partial(self._sound, file, partial(self._staged, chunk)))
        lacking = f"{len(self.missing())} of {self.plan.chunks} chunks are missing"
        yield "zarr.json", f"marks the store as incomplete ({lacking}); finish it with: {self.finish_with}"

    def _checked(self, file: Path, read: Callable[[], object]) -> tuple[str, str]:
        name = str(file.relative_to(self.path))
        try:
            read()
        except Unsound as error:
            return name, error.told
        return name, ""

    @cached_property
    def images(self) -> Any:
        """Array of all images.

        Raises:
            ValueError: The metadata is damaged. Other errors in `FAULTS` are possible.
        """
        array, plan = open_array(self.path / IMAGES), self.plan
        if (array.shape, array.chunks, array.dtype) != (plan.shape, (plan["chunk"], *plan.shape[1:]), plan["dtype"]):
            raise ValueError("its shape or type differs from the store's")
        return array

    @property
    def _metadata(self) -> Path:
        return self.path / IMAGES / "zarr.json"

    def _staged(self, chunk: int) -> NDArray[np.float64]:
        lenses = self.plan.lenses_of(chunk)
        return open_array(self.path / STAGING)[lenses.start : lenses.stop]

    def _unsound(self, file: Path, fault: str, remedy: str, more: str = "") -> Unsound:
        remedy = f"{remedy}: {self.finish_with}"
        return Unsound(f"{file} {fault}{more}; {remedy}", f"{fault}; {remedy}")

    def _sound(self, file: Path, read: Callable[[], Any], remedy: str = "restore it with") -> Any:
        """Return the result of `read`; raise an error that names the file if it fails."""
        try:
            return read()
        except FAULTS as error:
            if instead := too_many_files(error):
                raise instead from error
            why = " ".join(str(error).split())
            why = "its checksum is wrong" if "checksum" in why else why[:60]
            more = f"; to find more damage, use lenskit data check {self.path}"
            raise self._unsound(file, f"is damaged ({why})", remedy, more) from error


def read_card(path: Path) -> dict[str, Any]:
    """Return the attributes of a Zarr group; empty if there is no readable group."""
    try:
        return _load_card(path)
    except LenskitError:
        return {}


class _Group(Record):
    """Metadata of a Zarr group."""

    attributes: dict[str, Any]


def _load_card(path: Path) -> dict[str, Any]:
    return dict(load_json(path / "zarr.json", _Group)["attributes"])


def is_store(path: Path) -> bool:
    """Whether a path is a store of simulated pairs, of any version of the format."""
    return read_card(path).get("format") == FORMAT


def open_array(path: Path) -> Any:
    """Open a Zarr array for reading."""
    import zarr

    return zarr.open_array(path, mode="r", zarr_format=3)


def _uncompressed(file: Path, array: Any, into: NDArray[Any] | None) -> NDArray[Any]:
    """Read an uncompressed chunk from disk and verify its checksum.

    Args:
        file: File of the chunk.
        array: Zarr array with the shape and type of the chunk.
        into: Array for the values; None for a new array.

    Raises:
        ValueError: The chunk is damaged.
    """
    # Zarr's own reader copies a chunk several times, always in one thread, and needs three times the processor time.
    import google_crc32c

    stored = array.dtype.newbyteorder("<")
    chunk = np.empty(array.chunks, stored) if into is None or into.dtype != stored else into
    data, checksum = chunk.reshape(-1).view(np.uint8), 0
    with file.open("rb") as stream:
        for start in range(0, len(data), PIECE):
            piece = data[start : start + PIECE]
            if stream.readinto(piece.data) != len(piece):
                raise ValueError("cut short")
            checksum = google_crc32c.extend(checksum, piece)
        if stream.read(CHECKSUM_BYTES + 1) != checksum.to_bytes(CHECKSUM_BYTES, "little"):
            raise ValueError("wrong checksum")
    if into is None:
        return chunk.astype(array.dtype, copy=False)
    if chunk is not into:
        np.copyto(into, chunk)
    return into


def size_of(file: Path | os.DirEntry[str]) -> int | None:
    """Return the size of a file in bytes; None if it does not exist."""
    try:
        return file.stat().st_size
    except FileNotFoundError:
        return None


def sizes_in(folder: Path) -> dict[str, int]:
    """Return the sizes of a folder's files in bytes, by name."""
    if not folder.is_dir():
        return {}
    with os.scandir(folder) as entries:
        # A file may be gone already, because another process renamed its temporary file.
        return {entry.name: size for entry in entries if (size := size_of(entry)) is not None}
