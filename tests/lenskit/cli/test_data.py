"""Verb `lenskit data`."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits

from lenskit.config import Config
from lenskit.store.formats import open_format
from lenskit.store.plan import Plan
from lenskit.store.render import Renderer


@pytest.fixture
def folder() -> Path:
    """Return a folder with four images, three of them with a label."""
    folder = Path("images")
    folder.mkdir()
    for number in range(4):
        fits.writeto(folder / f"J{number}.fits", np.random.default_rng(number).normal(size=(16, 12)).astype("f4"))
    (folder / "labels.csv").write_text("name,theta_E_arcsec,n\nJ0,0.8,1\nJ1,1.25,4\nJ3,0.5,2\n")
    return folder


@pytest.fixture
def store(lenskit: Callable[..., Any]) -> Path:
    """Return a store of twenty pairs in chunks of eight."""
    made = lenskit(
        "simulate", "--simulator", "blobs", "--lenses", 20, "--chunk", 8, "--workers", 1, "--out", "pairs.zarr"
    )
    assert made.status == 0, made
    return Path("pairs.zarr")


def rows(text: str) -> dict[str, str]:
    """Return the first table of `data info` by row."""
    return {line[:10].strip(): line[11:] for line in text.partition("\n\n")[0].splitlines()}


def test_tells_of_a_folder(folder: Path, lenskit: Callable[..., Any]) -> None:
    outcome = lenskit("data", "info", f"fits-folder:{folder}")
    assert outcome.status == 2  # the images are not square, and the reader asks for a size
    for number in range(4):
        fits.writeto(folder / f"J{number}.fits", np.eye(16, dtype="f4"), overwrite=True)
    outcome = lenskit("data", "info", folder)
    assert rows(outcome.out) == {
        "format": "fits-folder",
        "lenses": "4",
        "views": "1 of each lens",
        "images": "1 x 16 x 16 (channels, height, width)",
    }
    told = [" ".join(line.split()) for line in outcome.out.partition("\n\n")[2].splitlines()]
    assert told[1:] == ["theta_E arcsec lens 0.5 to 1.25, known for 3 of 4", "n 1 lens 1 to 4, known for 3 of 4"]


def test_tells_of_a_store(store: Path, lenskit: Callable[..., Any]) -> None:
    outcome = lenskit("data", "info", store)
    assert rows(outcome.out) == {
        "format": "zarr",
        "lenses": "20",
        "views": "2 of each lens, sharing lens",
        "images": "1 x 16 x 16 (channels, height, width)",
        "stored as": "float32",
        "chunks": "3 of 8 lenses",
    }
    assert 'width = "uniform(1, 3)"' in outcome.out.partition("configuration:")[2]
    (line,) = [line for line in outcome.out.splitlines() if line.startswith("  width ") and "=" not in line]
    low, _, high = line.split()[-3:]
    assert 1 <= float(low) < float(high) <= 3


def test_a_sound_store_and_a_damaged_one(store: Path, lenskit: Callable[..., Any]) -> None:
    outcome = lenskit("data", "check", store)
    assert (outcome.status, outcome.err) == (0, "")
    assert outcome.out.startswith("pairs.zarr: all ")
    chunk = store / "images" / "c.1.0.0.0.0"
    content = bytearray(chunk.read_bytes())
    content[1000] ^= 1
    chunk.write_bytes(content)
    outcome = lenskit("data", "check", store)
    assert outcome.status == 1
    (line,) = outcome.out.splitlines()
    assert line.startswith("images/c.1.0.0.0.0: ")
    assert "1 of " in outcome.err
    train = ("train", "--recipe", "toys", "--data", store, "--pairs", "lens-fixed", "--batch-size", 20, "--lenses", 20)
    for arguments in (train, ("show", "--data", store, "--lenses", 20)):
        outcome = lenskit(*arguments)
        assert outcome.status == 1
        assert "c.1.0.0.0.0 is damaged" in outcome.err.splitlines()[-1]


def test_a_store_that_is_half_written(store: Path, lenskit: Callable[..., Any]) -> None:
    (store / "images" / "c.2.0.0.0.0").unlink()
    assert rows(lenskit("data", "info", store).out)["lenses"] == "20, 4 of them missing"
    outcome = lenskit("data", "check", store)
    assert outcome.status == 1
    assert outcome.out.startswith("images/c.2.0.0.0.0: ")
    incomplete = "the data are incomplete: 4 of 20 lenses are missing"
    for arguments in (
        ("train", "--recipe", "toys", "--data", store, "--batch-size", 4), ("show", "--data", store, "--lenses", 20)
    ):  # fmt: skip
        assert lenskit(*arguments).complaint(1).startswith(incomplete)
    assert not Path("runs").exists()


def test_a_store_that_was_not_finished(lenskit: Callable[..., Any]) -> None:
    """The state after the last process was killed between the last chunk and the end."""
    resolved = Config.resolve({"simulator": {"name": "blobs"}}, only=("simulator", "pairs"))
    plan = Plan.of(resolved, lenses=8, chunk=4)
    store, render = open_format("zarr", Path("pairs.zarr")), Renderer(plan)
    store.create(plan)
    for chunk in range(plan.chunks):
        store.write(plan, chunk, *render(chunk))
    advice = "all chunks are there, but parameters are not collected: run lenskit simulate --out pairs.zarr"
    outcome = lenskit("data", "info", "pairs.zarr")
    assert (outcome.status, rows(outcome.out)["unfinished"]) == (0, advice)
    for arguments in (("train", "--recipe", "toys", "--data", "pairs.zarr"), ("show", "--data", "pairs.zarr")):
        complaint = lenskit(*arguments).complaint(1)
        assert re.sub(r"/\S*/pairs", "pairs", complaint) == f"the data are incomplete: {advice}"
    assert [path.name for path in Path().iterdir()] == ["pairs.zarr"]
    assert lenskit(*advice.partition("run lenskit ")[2].split(), "--workers", 1).status == 0
    assert "unfinished" not in rows(lenskit("data", "info", "pairs.zarr").out)


def test_checks_any_reader(folder: Path, lenskit: Callable[..., Any]) -> None:
    for number in range(4):
        fits.writeto(folder / f"J{number}.fits", np.eye(16, dtype="f4"), overwrite=True)
    assert lenskit("data", "check", folder).out == "images: all 4 parts are sound\n"
    fits.writeto(folder / "J2.fits", np.zeros((16, 16), "f4"), overwrite=True)
    outcome = lenskit("data", "check", folder)
    assert outcome.out.startswith("J2: ")
    assert (outcome.status, outcome.err) == (1, "lenskit: images: 1 of 4 parts are damaged or absent\n")


@pytest.mark.parametrize("verb", ["info", "check"])
def test_bad_input_is_one_line(verb: str, lenskit: Callable[..., Any]) -> None:
    Path("notes.txt").write_text("")
    assert lenskit("data", verb, "nowhere").complaint() == "there are no data at nowhere"
    assert lenskit("data", verb, "notes.txt").complaint().startswith("no reader recognises notes.txt; name the reader")
    Path("pairs.zarr").mkdir()
    Path("pairs.zarr/zarr.json").write_text("{")
    assert "pairs.zarr" in lenskit("data", verb, "zarr:pairs.zarr").complaint()


def test_an_unknown_pixel_scale_is_told_of_once_with_what_to_type(
    folder: Path, lenskit: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    path = f"{folder}?size=12"
    assert lenskit("data", "info", path).status == 0
    (said,) = [record.getMessage() for record in caplog.records if "pixel scale" in record.getMessage()]
    assert said == f"{path}: the pixel scale is unknown; give it in arcsec, as in '{path}&pixel_scale=0.05'"
    caplog.clear()
    assert rows(lenskit("data", "info", f"{path}&pixel_scale=0.05").out)["pixels"] == "0.05 arcsec"
    assert "pixel scale" not in caplog.text


ACME = """
import numpy as np
import torch
from lenskit.plugin import Dataset


class Acme(Dataset):
    \"\"\"Images whose masked pixels are NaN.\"\"\"

    accepts = "a folder"
    image_shape = (1, 16, 16)
    names = [str(number) for number in range(8)]

    def __init__(self, path):
        self.path = path

    def read(self, index):
        images = [np.random.default_rng(lens).normal(size=(1, 1, 16, 16)) for lens in index]
        images = torch.tensor(np.array(images), dtype=torch.float32)
        for image, lens in zip(images, index):
            image[..., 3, : lens // 6] = torch.nan
        return images, {}
"""


@pytest.mark.slow
def test_undefined_pixels_of_a_third_party_are_counted_and_filled(
    install: Callable[..., None], lenskit: Callable[..., Any]
) -> None:
    """Lenses 6 and 7 of 8 have one such pixel of 256 each."""
    install("acme", "@hookimpl\ndef lenskit_datasets():\n    return [Component('acme', 'acme:Acme', '')]\n", acme=ACME)
    outcome = lenskit("data", "check", "acme:.")
    assert outcome.status == 0
    assert outcome.out == (
        "acme:.: 2 of 2048 pixels (0.0977 %) are undefined and filled, in 2 of 8 lenses\n"
        "acme:.: all 8 parts are sound\n"
    )
    train = lenskit(
        "train", "--recipe", "toys", "--data", "acme:.", "--pairs", "default", "--batch-size", 4, "--lenses", 8
    )
    assert train.status == 0, train
    assert lenskit("show", "--data", "acme:.", "--lenses", 8, "-o", "a.png").status == 0
