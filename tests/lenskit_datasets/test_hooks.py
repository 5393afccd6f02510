"""All readers: found by path, described and checked by commands, trained on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import tifffile
import torch
from astropy.io import fits
from torch import Tensor

import lenskit
from lenskit.cli.main import run
from lenskit.data.readers import find_reader
from lenskit.run import Run


@pytest.fixture(autouse=True)
def one_thread() -> None:
    """Use one thread: sums of floating-point numbers depend on the number of threads."""
    torch.set_num_threads(1)


def images(count: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(1).normal(size=(count, *shape)).astype(np.float32)


def lensiam(path: Path) -> None:
    path.mkdir()
    for i, pair in enumerate(images(8, 12, 12, 2)):
        header = fits.Header({"theta_E": 1 + i / 10, "gamma1": 0.1, "gamma2": 0.0})
        fits.writeto(path / f"{i}.fits", pair, header)


def hdf5(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["images"] = images(8, 2, 1, 12, 12)
        file["theta_E"] = np.arange(8) / 10


def arrays(path: Path) -> None:
    path.mkdir()
    for name in ("no_sub", "vortex"):
        np.save(path / f"{name}.npy", images(4, 1, 12, 12))


def pictures(path: Path) -> None:
    for name in ("arc", "ring"):
        (path / name).mkdir(parents=True)
        for i, image in enumerate(images(4, 12, 12)):
            tifffile.imwrite(path / name / f"{i}.tif", image)


WRITTEN: dict[str, tuple[Callable[[Path], None], str]] = {
    "lensiam-fits": (lensiam, "lens-fixed"),
    "hdf5": (hdf5, "lens-fixed"),
    "deeplense-npy": (arrays, "default"),
    "image-folder": (pictures, "default"),
}
"""For each reader a function that writes its data, and a pair strategy for them."""


def weights(run: Run) -> dict[str, Tensor]:
    return torch.load(run.checkpoint, weights_only=True)["state_dict"]


def learned(out: str, data: str, pairs: str) -> Run:
    options = {"input.keep": "disk"}
    return lenskit.train(
        "toys", data=data, pairs=pairs, batch_size=4, lenses=8, epochs=2, set=options, out=out, progress=False
    )


@pytest.mark.slow
@pytest.mark.parametrize("reader", WRITTEN)
def test_each_is_found_looked_at_checked_and_learned_from(reader: str, capsys, monkeypatch) -> None:
    write, pairs = WRITTEN[reader]
    write(Path("data"))
    assert find_reader("data") == (reader, Path("data"))
    assert run(["data", "info", "data"]) == 0
    told = capsys.readouterr().out
    assert told.startswith(f"format     {reader}\nlenses     8\n")
    assert ("theta_E  arcsec" if pairs == "lens-fixed" else "class  2 classes") in told
    assert run(["data", "check", "data"]) == 0
    assert capsys.readouterr().out == "data: all 8 parts are sound\n"

    whole = learned("whole", "data", pairs)
    monkeypatch.setenv("TOYS_SIGNAL", "SIGINT:1")
    assert not learned("cut", "data", pairs).finished
    monkeypatch.delenv("TOYS_SIGNAL")
    resumed = lenskit.resume("cut", progress=False)
    assert resumed.finished
    for name, value in weights(whole).items():
        assert torch.equal(value, weights(resumed)[name]), name


@pytest.mark.slow
def test_the_same_is_learned_whatever_the_format(simulated, tmp_path: Path) -> None:
    """Training is the same bit for bit, because the pixels and their order are."""
    runs = [
        learned(format, str(simulated(tmp_path / f"pairs.{format}", format, lenses=8)), "lens-fixed")
        for format in ("zarr", "fits", "hdf5")
    ]
    assert [run.config.name("data") for run in runs] == ["zarr", "lensiam-fits", "hdf5"]
    for other in runs[1:]:
        for name, value in weights(runs[0]).items():
            assert torch.equal(value, weights(other)[name]), name


def test_none_takes_what_is_no_image(tmp_path: Path, capsys) -> None:
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "a.txt").write_text("no image")
    (tmp_path / "empty").mkdir()
    for path in ("notes", "empty", "notes/a.txt"):
        assert run(["data", "info", path]) == 2
        assert f"no reader recognises {path}" in capsys.readouterr().err
