"""One HDF5 file, read by h5py."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np

from lenskit.plugin import Parameter
from lenskit.store.plan import Plan
from lenskit.store.simulate import simulate
from lenskit.store.store import Store
from lenskit.store.zarr_format import ZarrFormat

from .conftest import tree


def test_the_file_holds_what_a_zarr_store_holds(plan: Callable[..., Plan], tmp_path: Path) -> None:
    for dtype in ("float32", "float16"):
        wanted = plan(dtype=dtype)
        simulate(wanted, tmp_path / f"{dtype}.h5", format="hdf5")
        simulate(wanted, tmp_path / f"{dtype}.zarr")
        store = Store(tmp_path / f"{dtype}.zarr")
        with h5py.File(tmp_path / f"{dtype}.h5") as file:
            expected = np.concatenate([store.read(chunk) for chunk in range(3)])
            np.testing.assert_array_equal(file["images"], expected)
            assert file["images"].dtype == dtype
            assert [dimension.label for dimension in file["images"].dims] == ["lens", "view", "channel", "y", "x"]
            assert file["images"].fletcher32
            np.testing.assert_array_equal(file["width"], store.values(store.parameters[0]))
            np.testing.assert_array_equal(file["parameter_x"], store.values(store.parameters[1]))
            assert file["width"].attrs["units"] == "arcsec"
            card = json.loads(file.attrs["lenskit"])
            assert (card["configuration"], card["complete"]) == (wanted.configuration, True)
    assert sorted(file.name for file in tmp_path.iterdir()) == [
        "float16.h5", "float16.zarr", "float32.h5", "float32.zarr",
    ]  # fmt: skip


def test_what_numbers_things_says_so(plan: Callable[..., Plan], tmp_path: Path) -> None:
    """The attribute that readers of other files look for, and that a copy of a data set keeps."""
    store = ZarrFormat(tmp_path / "a.zarr")
    stamp, width = Parameter("stamp", identity=True), Parameter("width")
    assert store._create_coordinate(plan(), stamp).attrs["identity"] is True
    assert "identity" not in store._create_coordinate(plan(), width).attrs


def test_a_second_run_leaves_the_file_alone(plan: Callable[..., Plan], tmp_path: Path) -> None:
    simulate(plan(), tmp_path / "a.h5", format="hdf5")
    before, written = tree(tmp_path), (tmp_path / "a.h5").stat().st_mtime_ns
    simulate(plan(), tmp_path / "a.h5", format="hdf5")
    assert (tree(tmp_path), (tmp_path / "a.h5").stat().st_mtime_ns) == (before, written)
