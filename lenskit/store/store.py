"""A store of simulated images, as it is read.

```
pairs.zarr/                     a Zarr v3 group; its attributes are those of `Plan.attributes`, and `complete`
  images/                       (lens, view, channel, y, x), a file a chunk, checksummed, filled with NaN
  theta_E/ ...                  a coordinate a parameter: (lens,) where the images of a lens share it, else (lens, view)
  channel/, y/, x/              coordinates of pixels; y and x in arcsec if the simulator gives its pixel scale
  staging/                      (lens, view, parameter): the parameters, while the store is filled
```

A chunk's parameters are written before its images, so that a chunk whose images are there is done. Chunks are put in
place whole; and because none is compressed, all their files have one size that is known.
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
"""Bytes that are read and summed at a time: they are still in the processor's cache then."""
FAULTS = (ValueError, KeyError, TypeError, OSError, RuntimeError)
"""Errors that Zarr and its codecs raise for a damaged file."""

SizeOf = Callable[[str], int | None]
"""The size of a file of that name in some folder, None if there is none."""


class Unsound(LenskitError):
    """A file of a store is missing or damaged.

    Args:
        message: Which, what is wrong, and what to do.
        told: The same without the file's name.
    """

    def __init__(self, message: str, told: str = "") -> None:
        super().__init__(message)
        self.told = told


def coordinate_name(parameter: Parameter) -> str:
    """What a parameter's array is called: as the parameter, but for names that mean something else here."""
    return f"parameter_{parameter.name}" if parameter.name in (IMAGES, STAGING, *AXES) else parameter.name


class Store:
    """A store on disk, complete or not.

    Args:
        path: The folder.

    Raises:
        UsageError: if it is no store, or one of another version of the format.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        if not self.path.exists():
            raise UsageError(f"there is no store {self.path}")
        try:
            card = _load_card(self.path)
        except LenskitError as error:
            raise UsageError(f"{self.path} is no store of simulated pairs: {error}") from None
        self.attributes = checked_attributes(self.path, card)
        self.plan = Plan.from_attributes(self.attributes)

    @property
    def complete(self) -> bool:
        """Whether it was filled to the end."""
        return self.attributes["complete"]

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        return self.plan.parameters

    @property
    def finish_with(self) -> str:
        """The command that makes what is missing."""
        return f"lenskit simulate --out {self.path}"

    def chunk_file(self, chunk: int) -> Path:
        """The file of a chunk's images."""
        return self.path / IMAGES / f"c.{chunk}.0.0.0.0"

    def missing(self) -> list[int]:
        """The chunks that are still to be written (or to be written again: cut short or removed)."""
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
        """The images of a chunk: (n, views, channels, height, width) as they are stored, finite.

        Args:
            chunk: Its number.
            into: Memory for them, contiguous, with room for a whole chunk; new memory if there is none.

        Raises:
            LenskitError: if the chunk is missing, or its checksum is wrong.
        """
        file, lenses = self.chunk_file(chunk), self.plan.lenses_of(chunk)
        # An absent chunk would be read as NaNs.
        if not file.is_file():
            raise self._unsound(file, "is missing", "make it with")
        images = self._sound(self._metadata, lambda: self.images)
        whole = self._sound(file, lambda: _uncompressed(file, images, into), "remove it and make it again with")
        return whole[: len(lenses)]

    def values(self, parameter: Parameter) -> NDArray[np.float64]:
        """A parameter's values: (lenses,), or (lenses, views) where they differ between the images of a lens.

        Raises:
            LenskitError: if the store is incomplete, or the values are damaged.
        """
        if not self.complete:
            raise LenskitError(
                f"{self.path} is incomplete: {len(self.missing())} of {self.plan.chunks} chunks are missing; "
                f"finish it with: {self.finish_with}"
            )
        return self.coordinate(coordinate_name(parameter))

    def coordinate(self, name: str) -> NDArray[Any]:
        """All values of a parameter or an axis, by the name of its array.

        Raises:
            LenskitError: if they are damaged.
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
        """Reads everything, and yields the name of each part and what is wrong with it.

        Parts are the metadata of the images, the chunks of images, and parameters and axes; or, while the store is
        not complete, chunks of parameters, and the store itself.
        """
        metadata = self._checked(self._metadata, lambda: self._sound(self._metadata, lambda: self.images))
        yield metadata
        # Without it no chunk can be read, which says nothing of them.
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
        yield "zarr.json", f"says that the store is incomplete ({lacking}); finish it with: {self.finish_with}"

    def _checked(self, file: Path, read: Callable[[], object]) -> tuple[str, str]:
        name = str(file.relative_to(self.path))
        try:
            read()
        except Unsound as error:
            return name, error.told
        return name, ""

    @cached_property
    def images(self) -> Any:
        """The array of all images.

        Raises:
            ValueError: or another of `FAULTS`, if its metadata is damaged.
        """
        array, plan = open_array(self.path / IMAGES), self.plan
        if (array.shape, array.chunks, array.dtype) != (plan.shape, (plan["chunk"], *plan.shape[1:]), plan["dtype"]):
            raise ValueError("another shape or type than the store's")
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
        """What `read` gives, whose faults are errors that name the file."""
        try:
            return read()
        except FAULTS as error:
            if instead := too_many_files(error):
                raise instead from error
            why = " ".join(str(error).split())
            why = "its checksum is wrong" if "checksum" in why else why[:60]
            more = f", lenskit data check {self.path} looks for more"
            raise self._unsound(file, f"is damaged ({why})", remedy, more) from error


def read_card(path: Path) -> dict[str, Any]:
    """The attributes of a Zarr group; nothing if there is none that can be read. Cheap."""
    try:
        return _load_card(path)
    except LenskitError:
        return {}


class _Group(Record):
    """The metadata of a Zarr group."""

    attributes: dict[str, Any]


def _load_card(path: Path) -> dict[str, Any]:
    return dict(load_json(path / "zarr.json", _Group)["attributes"])


def is_store(path: Path) -> bool:
    """Whether a path is a store of simulated pairs, of whatever version of the format; cheap."""
    return read_card(path).get("format") == FORMAT


def open_array(path: Path) -> Any:
    """A Zarr array, opened for reading."""
    import zarr

    return zarr.open_array(path, mode="r", zarr_format=3)


def _uncompressed(file: Path, array: Any, into: NDArray[Any] | None) -> NDArray[Any]:
    """A chunk as it lies on disk, its checksum verified.

    Zarr's own reading copies it several times, in one thread however many call it: three times the processor's time.

    Raises:
        ValueError: if it is damaged.
    """
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
    """Size of a file, if it is there."""
    try:
        return file.stat().st_size
    except FileNotFoundError:
        return None


def sizes_in(folder: Path) -> dict[str, int]:
    """Sizes of a folder's files, by name."""
    if not folder.is_dir():
        return {}
    with os.scandir(folder) as entries:
        # Another process may just have renamed what it was writing.
        return {entry.name: size for entry in entries if (size := size_of(entry)) is not None}
