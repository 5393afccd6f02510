"""Format of a Zarr v3 group, which xarray opens with named dimensions."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lenskit.embeddings.feature_format import FeatureFormat
from lenskit.embeddings.stored import StoredMatrix
from lenskit.embeddings.table import FEATURES, OWN, PROJECTION, FeatureTable
from lenskit.kinds.parameter import Parameter
from lenskit.reading.limits import check_bytes
from lenskit.store.zarr_format import COORDINATE_CHUNK, ZarrFormat, create_array, strangers_among

CHUNK_BYTES = 2**23
"""Maximum size of a chunk of features in bytes."""
IMAGE = "image"
AXES = {FEATURES: "feature", PROJECTION: "projected"}
"""Names of the second dimension."""


class ZarrFile(ZarrFormat, FeatureFormat):
    """Zarr v3 group.

    A store has an array `images` and a coordinate for each parameter. Features have an array for each column, and the
    card as attributes.
    """

    def has_features(self) -> bool:
        return (self.path / FEATURES).is_dir()

    def feature_card(self) -> Any:
        import zarr

        return dict(zarr.open_group(self.path, mode="r").attrs)

    def feature_strangers(self, card: dict[str, Any]) -> list[str]:
        own = card.get("representations", ())
        return strangers_among([*OWN, *own, *FeatureTable(card, {}).parameters], self.path)

    def write_features(self, parts: Iterator[FeatureTable], rows: int) -> None:
        """Write the rows chunk by chunk; only one chunk of each column is in memory."""
        columns: dict[str, _Growing] = {}
        card: dict[str, Any] = {}
        for part in parts:
            if not columns:
                card = part.card
                self.path.mkdir()
                columns = {name: _Growing(_create(self.path, name, part, rows)) for name in part.columns}
            for name, value in part.columns.items():
                columns[name].append(np.asarray(value))
        for column in columns.values():
            column.finish()
        group = {"zarr_format": 3, "node_type": "group", "attributes": card}
        # xarray warns unless the metadata are consolidated in one file.
        metadata = {name: json.loads((self.path / name / "zarr.json").read_text()) for name in columns}
        group["consolidated_metadata"] = {"kind": "inline", "must_understand": False, "metadata": metadata}
        (self.path / "zarr.json").write_text(json.dumps(group, indent=2) + "\n")

    def read_features(self, card: dict[str, Any]) -> dict[str, Any]:
        """Read the columns (n,); features stay on disk."""
        import zarr

        group = zarr.open_group(self.path, mode="r")
        columns: dict[str, Any] = {}
        if not card and FEATURES not in group:
            # The group has other content, such as images: do not read it.
            return dict.fromkeys(group.array_keys())
        for name, array in group.arrays():
            if card:
                _check_chunks(self.path / name, array)
            check_bytes(self.path, math.prod(array.chunks) * array.dtype.itemsize, f"{name} (one chunk)")
            if array.ndim != 2:
                check_bytes(self.path, array.nbytes, name)
            columns[name] = StoredMatrix(self.path / name, array) if array.ndim == 2 else np.asarray(array[...])
        # Zarr lists arrays in arbitrary order.
        order = {name: place for place, name in enumerate((FEATURES, PROJECTION, *FeatureTable(card, {}).parameters))}
        return dict(sorted(columns.items(), key=lambda item: order.get(item[0], len(order))))


class _Growing:
    """Zarr array to which rows are appended in whole chunks.

    Args:
        array: The array.
    """

    def __init__(self, array: Any) -> None:
        self._array, self._done = array, 0
        self._held: list[NDArray[Any]] = []

    def append(self, values: NDArray[Any]) -> None:
        self._held.append(values)
        size = self._array.chunks[0]
        if (held := sum(map(len, self._held))) >= size:
            self._write(held - held % size)

    def finish(self) -> None:
        self._write(sum(map(len, self._held)))

    def _write(self, count: int) -> None:
        if count:
            values = np.concatenate(self._held)
            self._array[self._done : self._done + count] = values[:count]
            # Copy, because a view would keep the written rows in memory.
            self._held, self._done = [values[count:].copy()], self._done + count


def _create(path: Path, name: str, part: FeatureTable, rows: int) -> Any:
    value = part.columns[name]
    dimensions = (IMAGE, AXES.get(name, f"{name}_feature"))[: value.ndim]
    if value.dtype == object:
        import zarr
        from zarr.codecs import ZstdCodec

        return zarr.create_array(
            path / name,
            shape=(rows,),
            chunks=(min(rows, COORDINATE_CHUNK),),
            dtype="string",
            compressors=[ZstdCodec(checksum=True)],
            dimension_names=dimensions,
            config={"write_empty_chunks": True},
        )
    if value.ndim == 1:
        chunk, attributes = COORDINATE_CHUNK, _attributes(part.parameters.get(name))
    else:
        chunk = 2 ** int(math.log2(max(CHUNK_BYTES // (value.dtype.itemsize * value.shape[1]), 1)))
        attributes = {"coordinates": " ".join(other for other, column in part.columns.items() if column.ndim == 1)}
    chunks = (max(min(rows, chunk), 1), *value.shape[1:])
    return create_array(path / name, (rows, *value.shape[1:]), chunks, str(value.dtype), dimensions, attributes)


def _attributes(parameter: Parameter | None) -> dict[str, Any]:
    if parameter is None:
        return {}
    classes = {"classes": list(parameter.classes)} if parameter.classes else {}
    name = {"long_name": parameter.symbol or parameter.name, "units": parameter.unit or "1"}
    return name | {"group": parameter.group, "headline": parameter.headline} | classes


def _check_chunks(folder: Path, array: Any) -> None:
    """Raise a ValueError if chunks are missing, because Zarr would read them as NaN."""
    there = sum(1 for _, _, names in os.walk(folder) for name in names if name != "zarr.json")
    if there != (wanted := math.prod(array.cdata_shape)):
        raise ValueError(f"{wanted - there} of {wanted} chunks of the array {folder.name} are missing")
