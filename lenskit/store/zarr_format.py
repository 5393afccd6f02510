"""Writing of stores in Zarr v3; `lenskit.store.store` describes their content."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lenskit.errors import LenskitError
from lenskit.files import write_atomically
from lenskit.kinds.parameter import Parameter
from lenskit.ownership import strangers
from lenskit.store.format import Format
from lenskit.store.plan import Plan
from lenskit.store.render import Renderer
from lenskit.store.store import AXES, FAULTS, IMAGES, STAGING, Store, coordinate_name, open_array, read_card

PART = re.compile(r"(zarr(\.json)?|c(\.\d+)*)(\.?[0-9a-f]{8,32})?\.(part|partial)")
"""Names of temporary files that lenskit or Zarr writes."""
COORDINATE_CHUNK = 2**17
"""Lenses per chunk of a coordinate. A million lenses need only a few files per parameter."""


class ZarrFormat(Format):
    """One Zarr v3 group: the images, and a coordinate for each parameter."""

    endings = ("", ".zarr")
    reader = "zarr"
    card_file = "zarr.json"

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._open: dict[str, Any] = {}

    def card(self) -> dict[str, Any]:
        return read_card(self.path)

    def is_part(self, name: str) -> bool:
        return bool(PART.fullmatch(name))

    def strangers(self) -> list[str]:
        records = self.card().get("parameters") or ()
        parameters = [Parameter(str(record.get("name"))) for record in records if isinstance(record, dict)]
        return strangers_among([IMAGES, STAGING, *AXES[2:], *map(coordinate_name, parameters)], self.path)

    def create(self, plan: Plan) -> None:
        """Create the missing arrays; each file is written atomically."""
        self._open.clear()
        self.path.mkdir(parents=True, exist_ok=True)
        if not self.exists:
            self._say(plan, complete=False)
        self._require_images(plan)
        if not Store(self.path).complete:
            self._require_staging(plan)
        elif not self._has_coordinates(plan):
            self._complete(plan)

    def whole(self, plan: Plan) -> bool:
        return super().whole(plan) and self._has_coordinates(plan)

    def missing(self, plan: Plan) -> list[int]:
        return Store(self.path).missing()

    def lacks(self, plan: Plan, chunk: int) -> bool:
        return Store(self.path).lacks(chunk)

    def write(self, plan: Plan, chunk: int, images: NDArray[Any], values: NDArray[np.float64]) -> None:
        """Write a chunk: in an incomplete store its parameters first, then its images."""
        lenses = plan.lenses_of(chunk)
        if not Store(self.path).complete:
            padded = np.full((*values.shape[:2], max(1, values.shape[2])), np.nan)
            padded[..., : values.shape[2]] = values
            self._array(STAGING)[lenses.start : lenses.stop] = padded
        self._array(IMAGES)[lenses.start : lenses.stop] = images

    def _array(self, name: str) -> Any:
        if name not in self._open:
            self._open[name] = open_to_write(self.path / name)
        return self._open[name]

    def finish(self, plan: Plan) -> None:
        """Write the parameters as coordinates; repeat an interrupted step."""
        if not Store(self.path).complete:
            self._complete(plan)
        shutil.rmtree(self.path / STAGING, ignore_errors=True)

    def _complete(self, plan: Plan) -> None:
        self._write_coordinates(plan)
        self._say(plan, complete=True)

    def _say(self, plan: Plan, complete: bool) -> None:
        attributes = plan.attributes() | {"complete": complete}
        group = {"zarr_format": 3, "node_type": "group", "attributes": attributes}
        if complete:
            # xarray warns about groups without consolidated metadata.
            metadata = {name: json.loads((self.path / name / "zarr.json").read_text()) for name in _members(plan)}
            group["consolidated_metadata"] = {"kind": "inline", "must_understand": False, "metadata": metadata}
        write_atomically(self.path / "zarr.json", json.dumps(group, indent=2) + "\n")

    def _has_coordinates(self, plan: Plan) -> bool:
        """Whether all coordinates can be read."""
        store = Store(self.path)
        try:
            for name in _members(plan)[1:]:
                store.coordinate(name)
        except LenskitError:
            return False
        return True

    def _require_images(self, plan: Plan) -> None:
        coordinates = " ".join(map(coordinate_name, plan.parameters))
        attributes = {"long_name": "simulated images", "coordinates": coordinates}
        self._require(IMAGES, plan["chunk"], plan.shape, plan["dtype"], AXES, attributes)

    def _require_staging(self, plan: Plan) -> None:
        shape = (plan["lenses"], plan["views"], max(1, len(plan.parameters)))
        self._require(STAGING, plan["chunk"], shape, "float64", ("lens", "view", "parameter"))

    def _require(
        self, name: str, chunk: int, shape: tuple[int, ...], dtype: str, names: tuple[str, ...], attributes: Any = None
    ) -> None:
        """Create an array, unless it exists with the right metadata; keep existing chunks."""
        folder, chunks = self.path / name, (chunk, *shape[1:])
        with suppress(*FAULTS):
            array = open_array(folder)
            if (array.shape, array.chunks, array.dtype) == (shape, chunks, dtype):
                return
        (folder / "zarr.json").unlink(missing_ok=True)
        create_array(folder, shape, chunks, dtype, names, attributes, overwrite=False)

    def _write_coordinates(self, plan: Plan) -> None:
        for name, length in zip(AXES[2:], plan.image_shape, strict=True):
            self._write_axis(name, length, plan.pixel_scale)
        arrays = [self._create_coordinate(plan, parameter) for parameter in plan.parameters]
        for start in range(0, plan["lenses"], COORDINATE_CHUNK):
            block = self._values(plan, range(plan["lenses"])[start : start + COORDINATE_CHUNK])
            for place, (parameter, array) in enumerate(zip(plan.parameters, arrays, strict=True)):
                values = block[:, :, place]
                array[start : start + len(block)] = values[:, 0] if plan.is_shared(parameter) else values

    def _values(self, plan: Plan, lenses: range) -> NDArray[np.float64]:
        """Return the parameters of some lenses, (n, views, parameters).

        They come from the staging array. If that array is damaged or missing, the parameters are sampled again.
        """
        staging = self.path / STAGING
        if staging.is_dir():
            with suppress(*FAULTS):
                return np.asarray(open_array(staging)[lenses.start : lenses.stop])
        draw, size = Renderer(plan).values, plan["chunk"]
        chunks = range(lenses.start // size, -(-lenses.stop // size))
        drawn = np.concatenate([draw(chunk) for chunk in chunks])
        return drawn[lenses.start - chunks.start * size :][: len(lenses)]

    def _create_coordinate(self, plan: Plan, parameter: Parameter) -> Any:
        shape = (plan["lenses"],) if plan.is_shared(parameter) else (plan["lenses"], plan["views"])
        attributes = {
            "long_name": parameter.symbol or parameter.name,
            "units": parameter.unit or "1",
            "group": parameter.group,
            "headline": parameter.headline,
        }
        if parameter.identity:
            attributes["identity"] = True
        if parameter.classes:
            attributes["classes"] = list(parameter.classes)
        chunk = (min(COORDINATE_CHUNK, plan["lenses"]), *shape[1:])
        folder = self.path / coordinate_name(parameter)
        return create_array(folder, shape, chunk, "float64", AXES[: len(shape)], attributes)

    def _write_axis(self, name: str, length: int, pixel_scale: float | None) -> None:
        """Write the coordinates of an axis: channel numbers, or pixel positions.

        Pixel positions are in arcsec from the middle, or pixel numbers if the pixel scale is unknown.
        """
        values: NDArray[Any] = np.arange(length)
        attributes = {}
        if name != "channel" and pixel_scale:
            values, attributes = (values - (length - 1) / 2) * pixel_scale, {"units": "arcsec"}
        array = create_array(self.path / name, (length,), (length,), str(values.dtype), (name,), attributes)
        array[...] = values


def _members(plan: Plan) -> list[str]:
    """Return the names of the arrays of a complete store, the images first."""
    return [IMAGES, *AXES[2:], *map(coordinate_name, plan.parameters)]


def strangers_among(arrays: Iterable[str], group: Path) -> list[str]:
    """Return the names of entries of a Zarr group that do not belong to these arrays."""
    names = "|".join(map(re.escape, arrays))
    # Chunks of images have flat keys, chunks of texts have nested ones.
    nested = r"c/(\d+/)*(\d+(\.[0-9a-f]{32}\.partial)?)?"
    pattern = re.compile(rf"(({names})/)?(zarr\.json|c(\.\d+)*|{PART.pattern})?|({names})/{nested}")
    return strangers(group, lambda name: bool(pattern.fullmatch(name)))


def create_array(
    path: Path,
    shape: tuple[int, ...],
    chunks: tuple[int, ...],
    dtype: str,
    names: tuple[str, ...],
    attributes: dict[str, Any] | None = None,
    overwrite: bool = True,
) -> Any:
    """Create a Zarr array without compression, because noise does not compress.

    Chunks have checksums. Their keys are flat, because one folder per chunk would double the number of files.

    Args:
        path: Folder of the array.
        shape: Shape of the array.
        chunks: Shape of a chunk.
        dtype: Data type.
        names: Names of the axes.
        attributes: Attributes of the array.
        overwrite: Whether to overwrite an existing array. Otherwise existing chunks are kept.
    """
    import zarr
    from zarr.codecs import Crc32cCodec

    return zarr.create_array(
        path,
        shape=shape,
        chunks=chunks,
        dtype=dtype,
        fill_value=np.nan if np.dtype(dtype).kind == "f" else -1,
        filters=None,
        compressors=[Crc32cCodec()],
        serializer="auto",
        dimension_names=names,
        attributes=attributes or {},
        chunk_key_encoding={"name": "default", "separator": "."},
        zarr_format=3,
        overwrite=overwrite,
        config={"write_empty_chunks": True},
    )


def open_to_write(path: Path) -> Any:
    """Open an array for writing; chunks of fill values are written too."""
    import zarr

    return zarr.open_array(path, mode="r+", zarr_format=3, config={"write_empty_chunks": True})
