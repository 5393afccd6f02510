"""HDF5 files of lenskit, read by h5py."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from lenskit.errors import UsageError
from lenskit.store.store import Store


@pytest.mark.slow
def test_the_file_holds_what_a_zarr_store_holds(simulated: Callable[..., Path], tmp_path: Path) -> None:
    for dtype in ("float32", "float16"):
        simulated(tmp_path / f"{dtype}.h5", "hdf5", dtype=dtype)
        simulated(tmp_path / f"{dtype}.zarr", dtype=dtype)
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
            assert (card["configuration"], card["complete"]) == (store.plan.configuration, True)
    assert sorted(file.name for file in tmp_path.iterdir()) == [
        "float16.h5", "float16.zarr", "float32.h5", "float32.zarr",
    ]  # fmt: skip


def test_a_second_run_leaves_the_file_alone(
    simulated: Callable[..., Path], tree: Callable[[Path], dict[str, bytes]], tmp_path: Path
) -> None:
    simulated(tmp_path / "a.h5", "hdf5")
    before, written = tree(tmp_path), (tmp_path / "a.h5").stat().st_mtime_ns
    simulated(tmp_path / "a.h5", "hdf5")
    assert (tree(tmp_path), (tmp_path / "a.h5").stat().st_mtime_ns) == (before, written)


def test_an_empty_folder_is_no_place_for_a_file(simulated: Callable[..., Path], tmp_path: Path) -> None:
    (tmp_path / "a.h5").mkdir()
    with pytest.raises(UsageError, match=r"a\.h5 exists and is not a hdf5 store of simulated pairs"):
        simulated(tmp_path / "a.h5", "hdf5")
    assert [file.name for file in tmp_path.rglob("*")] == ["a.h5"]
