"""LenSiam's layout, read by astropy."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from lenskit.config import Config
from lenskit.errors import UsageError
from lenskit.store.formats import open_format
from lenskit.store.plan import Plan
from lenskit.store.simulate import simulate
from lenskit.store.store import Store

LENSIAM = ("theta_E", "e1", "e2", "center_x", "center_y", "gamma", "gamma1", "gamma2")


@pytest.mark.slow
def test_a_pair_is_a_file_as_lensiam_s(tmp_path: Path) -> None:
    """LenSiam's release has the axes (y, x, 2) and eight parameters as header keys."""
    resolved = Config.resolve({"simulator": {"name": "hst", "pixels": 24}}, only=("simulator", "pairs"))
    plan = Plan.of(resolved, lenses=11, chunk=4)
    simulate(plan, tmp_path / "pairs", format="fits")
    simulate(plan, tmp_path / "pairs.zarr")
    store = Store(tmp_path / "pairs.zarr")
    values = {parameter.name: store.values(parameter).astype(np.float32) for parameter in store.parameters}
    files = sorted((tmp_path / "pairs").glob("*.fits"))
    assert [file.name for file in files] == [f"{lens:02}.fits" for lens in range(11)]
    for lens in (0, 7, 10):
        with warnings.catch_warnings(action="error"), fits.open(files[lens], checksum=True) as hdus:
            assert len(hdus) == 1
            assert hdus[0].data.shape == (24, 24, 2)
            stored = store.read(lens // 4)[lens % 4, :, 0]
            np.testing.assert_array_equal(hdus[0].data[..., 0], stored[0])
            np.testing.assert_array_equal(hdus[0].data[..., 1], stored[1])
            for name in LENSIAM:
                assert np.float32(hdus[0].header[name]) == values[name][lens]
            for view in (0, 1):
                assert np.float32(hdus[0].header[f"log_noise_{view + 1}"]) == values["log_noise"][lens, view]
                key = f"source_half_light_radius_{view + 1}"
                assert np.float32(hdus[0].header[key]) == values["source_half_light_radius"][lens, view]
            hdus[0].verify("exception")
    card = json.loads((tmp_path / "pairs" / "simulation.json").read_text())
    assert (card["configuration"], card["complete"]) == (plan.configuration, True)


def test_single_images_keep_their_axes(simulated: Callable[..., Path], tmp_path: Path) -> None:
    simulated(tmp_path / "one", "fits", pairs="single")
    header = fits.getheader(tmp_path / "one" / "3.fits")
    assert (header["NAXIS1"], header["NAXIS2"], header["NAXIS3"]) == (1, 8, 8)
    assert "X" in header
    assert "X_1" not in header


@pytest.mark.parametrize("length", [0, 3000, 2880])
def test_a_file_that_was_cut_short_is_made_again(
    simulated: Callable[..., Path], tree: Callable[[Path], dict[str, bytes]], tmp_path: Path, length: int
) -> None:
    simulated(tmp_path / "pairs", "fits")
    whole = tree(tmp_path)
    os.truncate(tmp_path / "pairs" / "5.fits", length)
    store = open_format("fits", tmp_path / "pairs")
    plan = Plan.from_attributes(store.attributes())
    assert (store.missing(plan), store.lacks(plan, 1), store.lacks(plan, 2)) == ([1], True, False)
    simulated(tmp_path / "pairs", "fits")
    assert tree(tmp_path) == whole


def test_fits_has_no_float16(simulated: Callable[..., Path], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="FITS has no float16: use --dtype float32, or --format zarr"):
        simulated(tmp_path / "pairs", "fits", dtype="float16")
    assert list(tmp_path.iterdir()) == []
