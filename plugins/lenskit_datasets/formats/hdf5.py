"""Writes one HDF5 file, with the same arrays as a Zarr store.

HDF5 can be written by one process only, and is lost when that is killed: the images are gathered in a Zarr store
beside the file, `FILE.filling`, and copied when all are there.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lenskit.plugin import Format, LenskitError
from lenskit.toolbox import Plan, Store, ZarrFormat, coordinate_name, new_hdf5, parse_json, part_of, sweep_parts

CARD = "lenskit"
"""Attribute that holds what the file says of itself, as JSON."""


class Hdf5Format(Format):
    """One HDF5 file with the same arrays as a Zarr store.

    The images are gathered in a Zarr store `FILE.filling`, and copied when all are there.
    """

    endings = (".h5", ".hdf5")

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

    def _copy(self, plan: Plan, part: Path) -> None:
        """Copies the store into a file, chunk by chunk. Times would make every file another."""
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
