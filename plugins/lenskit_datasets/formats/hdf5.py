"""Format of stores and rendered images: one HDF5 file.

A store has the same arrays as in Zarr. Only one process can write HDF5, and the file is lost if the process is killed.
So the images of a store are collected in a Zarr store `FILE.filling` next to the file, and copied when it is complete.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lenskit.plugin import Format, ImageFormat, LenskitError
from lenskit.toolbox import (
    Plan,
    Rendering,
    Store,
    ZarrFormat,
    coordinate_name,
    new_hdf5,
    parse_json,
    part_of,
    sweep_parts,
)

CARD = "lenskit"
"""Attribute with the description of the file, as JSON."""


class Hdf5Format(Format, ImageFormat):
    """One HDF5 file.

    A store has the same arrays as in Zarr. Its images are collected in a Zarr store `FILE.filling`, and copied when it
    is complete. Rendered images are a data set `images` (n, channels, height, width), with one data set for each
    parameter, which has the attribute `units`. The names of the images are in `table/name`.
    """

    endings = (".h5", ".hdf5")
    reader = "hdf5"

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.filling = ZarrFormat(path.with_name(path.name + ".filling"))

    def card(self) -> dict[str, Any]:
        if not self.path.is_file():
            return self.filling.card()
        import h5py

        try:
            with h5py.File(self.path) as file:
                return dict(parse_json(file.attrs[CARD], f"{self.path}: its attribute {CARD}"))
        except (OSError, KeyError, ValueError, TypeError, RuntimeError, LenskitError):
            return {}

    def create(self, plan: Plan) -> None:
        if not self.path.is_file():
            self.filling.create(plan)

    def missing(self, plan: Plan) -> list[int]:
        return [] if self.path.is_file() else self.filling.missing(plan)

    def lacks(self, plan: Plan, chunk: int) -> bool:
        return not self.path.is_file() and self.filling.lacks(plan, chunk)

    def write(self, plan: Plan, chunk: int, images: NDArray[Any], values: NDArray[np.float64]) -> None:
        self.filling.write(plan, chunk, images, values)

    def finish(self, plan: Plan) -> None:
        if not self.path.is_file():
            self.filling.finish(plan)
            part = part_of(self.path)
            try:
                self._copy(plan, part)
                part.replace(self.path)
            except BaseException:
                part.unlink(missing_ok=True)
                raise
        if self.filling.exists and not self.filling.strangers():
            shutil.rmtree(self.filling.path, ignore_errors=True)

    def sweep(self) -> None:
        if self.exists:
            sweep_parts(self.path)
        self.filling.sweep()

    def strangers(self) -> list[str]:
        if not self.filling.path.is_dir():
            return []
        there = self.filling.strangers() if self.filling.exists else [""]
        return [f"{self.filling.path.name}/{name}" for name in there]

    def remove(self) -> None:
        super().remove()
        if self.filling.path.is_dir():
            self.filling.remove()

    @property
    def blank(self) -> bool:
        return not self.path.exists() and self.filling.blank

    def write_images(self, rendering: Rendering) -> None:
        import h5py

        simulator = rendering.simulator
        with new_hdf5(self.path) as (file, check):
            shape = rendering.shape
            images = file.create_dataset(
                "images", shape, "float32", chunks=(1, *shape[1:]), fletcher32=True, track_times=False
            )
            for part in rendering:
                images[part.first : part.first + len(part.images)] = part.images
                check()
            if simulator.pixel_scale:
                images.attrs["pixel_scale"] = simulator.pixel_scale
            file.create_dataset("table/name", data=rendering.names, dtype=h5py.string_dtype(), track_times=False)
            for parameter in rendering.parameters:
                # A parameter must not have the name of another item of the file.
                name = f"parameter_{parameter.name}" if parameter.name in ("images", "table") else parameter.name
                values = rendering.values[parameter.name]
                data = file.create_dataset(name, data=values, fletcher32=True, track_times=False)
                if parameter in (*simulator.parameters, *simulator.known):  # the unit of others is unknown
                    said = {"units": parameter.unit or "1", "long_name": parameter.symbol or parameter.name}
                    data.attrs.update(said | {"group": parameter.group})
                if parameter.classes:
                    data.attrs["classes"] = list(parameter.classes)
                if parameter.identity:
                    data.attrs["identity"] = True

    def _copy(self, plan: Plan, part: Path) -> None:
        """Copy the store into a file, chunk by chunk.

        No times are stored, so that equal stores give equal files.
        """
        import zarr

        store = Store(self.filling.path)
        axes: Any = store.images.metadata.dimension_names
        with new_hdf5(part) as (file, check):
            file.attrs[CARD] = json.dumps(plan.attributes() | {"complete": True})
            for name in (*axes[2:], *map(coordinate_name, plan.parameters)):
                array: Any = zarr.open_array(store.path / name, mode="r", zarr_format=3)
                copy = file.create_dataset(name, data=array[...], fletcher32=True, chunks=True, track_times=False)
                copy.attrs.update(array.attrs)
                _name_axes(copy, array.metadata.dimension_names)
            images = file.create_dataset(
                "images", plan.shape, plan["dtype"], chunks=(1, *plan.shape[1:]), fletcher32=True, track_times=False
            )
            _name_axes(images, axes)
            for chunk in range(plan.chunks):
                lenses = plan.lenses_of(chunk)
                images[lenses.start : lenses.stop] = store.read(chunk)
                check()


def _name_axes(dataset: Any, names: Any) -> None:
    for dimension, name in zip(dataset.dims, names, strict=True):
        dimension.label = name
