"""Reader of the Zarr stores of `lenskit simulate`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from lenskit.config import Config
from lenskit.errors import LenskitError
from lenskit.evaluation import open_dataset
from lenskit.store.plan import Plan
from lenskit.store.simulate import simulate
from lenskit_datasets.zarr_store import ZarrStore


def made(path: Path, **settings: object) -> Path:
    layer = {"simulator": {"name": "blobs", "pixels": 8}}
    resolved = Config.resolve(layer, only=("simulator", "pairs"))
    simulate(Plan.of(resolved, **{"lenses": 10, "chunk": 4} | settings), path)
    return path


def test_it_is_recognised_and_says_what_it_holds(tmp_path: Path) -> None:
    data = open_dataset(str(made(tmp_path / "anything")))
    assert isinstance(data, ZarrStore)
    assert (len(data), data.views, data.image_shape, data.chunk, data.missing) == (10, 2, (1, 8, 8), 4, 0)
    assert (data.shared_groups, data.stored_as) == (frozenset({"lens"}), "float32")
    assert [parameter.name for parameter in data.parameters] == ["width", "x"]
    assert (data.names[3], data.names[-1], list(data.names[1:3])) == ("3", "9", ["1", "2"])
    assert data.configuration["simulator"]["name"] == "blobs@lenskit-ssl-toys"
    assert not ZarrStore.recognises(tmp_path)


def test_it_knows_how_large_pixels_are(tmp_path: Path) -> None:
    assert ZarrStore(made(tmp_path / "unknown.zarr")).pixel_scale is None
    resolved = Config.resolve({"simulator": {"name": "blobs", "pixels": 8}}, only=("simulator", "pairs"))
    simulate(replace(Plan.of(resolved, lenses=4, chunk=4), pixel_scale=0.1), tmp_path / "known.zarr")
    assert ZarrStore(tmp_path / "known.zarr").pixel_scale == 0.1


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_lenses_come_in_the_order_asked_for(tmp_path: Path, dtype: str) -> None:
    data = ZarrStore(made(tmp_path / "pairs.zarr", dtype=dtype))
    images, values = data.read(range(10))
    assert (images.dtype, images.shape) == (torch.float32, (10, 2, 1, 8, 8))
    assert (values["width"].shape, values["x"].shape, values["x"].dtype) == ((10,), (10, 2), torch.float32)
    for index in ([3], [9, 0, 4, 4], range(4, 8), range(7, 3, -1), range(8, 10), []):
        some, known = data.read(index)
        torch.testing.assert_close(some, images[list(index)], rtol=0, atol=0)
        for name, value in known.items():
            torch.testing.assert_close(value, values[name][list(index)], rtol=0, atol=0)


@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("draws", [1, 2])
def test_memory_that_is_there_is_read_into(tmp_path: Path, dtype: str, draws: int) -> None:
    data = ZarrStore(made(tmp_path / "pairs.zarr", dtype=dtype))
    for index in (range(4, 8), [4, 5, 6, 7, 0, 1, 2, 3], [7, 6, 5, 4], range(2, 6), range(8, 10), [0, 1, 2, 2], []):
        images, known = data.read(index)
        memory = torch.full((len(index), draws, 1, 8, 8), torch.nan)
        torch.testing.assert_close(data.read_into(memory, index), known, rtol=0, atol=0)
        torch.testing.assert_close(memory, images[:, :draws], rtol=0, atol=0)


def test_parameters_are_read_without_images(tmp_path: Path) -> None:
    path = made(tmp_path / "pairs.zarr")
    index = [9, 0, 4]
    known = ZarrStore(path).read(index)[1]
    for chunk in (path / "images").glob("c.*"):
        chunk.write_bytes(bytes(chunk.stat().st_size))
    damaged = ZarrStore(path)
    torch.testing.assert_close(damaged.read_parameters(index), known, rtol=0, atol=0)
    with pytest.raises(LenskitError, match="damaged"):
        damaged.read(index)


def test_views_show_the_same_lens_and_different_sources(tmp_path: Path) -> None:
    images, values = ZarrStore(made(tmp_path / "pairs.zarr", lenses=300, chunk=64)).read(range(300))
    assert abs(np.corrcoef(values["x"].T)[0, 1]) < 0.2
    # A blob's centroid is its source's position, in pixels from the centre, for any width.
    axis = torch.arange(8.0) - 3.5
    bright = images[:, :, 0].clamp(min=0.2) - 0.2
    centroid = (bright.sum(2) * axis).sum(-1) / bright.sum((2, 3))
    inside = values["x"].abs() < 1
    assert np.corrcoef(centroid[inside], values["x"][inside])[0, 1] > 0.95


def test_an_incomplete_store_is_only_looked_at(tmp_path: Path) -> None:
    path = made(tmp_path / "pairs.zarr")
    (path / "images" / "c.2.0.0.0.0").unlink()
    data = ZarrStore(path)
    assert data.missing == 2
    with pytest.raises(LenskitError, match="c.2.0.0.0.0 is missing; make it with: lenskit simulate --out"):
        data.read([9])
    assert [part for part, wrong in data.check() if wrong] == ["images/c.2.0.0.0.0"]
