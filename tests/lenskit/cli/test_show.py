"""Verb `lenskit show`."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from matplotlib.figure import Figure
from matplotlib.image import imread

BLOBS = ("show", "--simulator", "blobs", "--lenses", 2, "--dpi", 50)


@pytest.fixture
def folder() -> Path:
    """Return a folder with three images, one of them with a label."""
    folder = Path("images")
    folder.mkdir()
    for number in range(3):
        fits.writeto(folder / f"J{number}.fits", np.random.default_rng(number).normal(size=(16, 16)).astype("f4"))
    (folder / "labels.csv").write_text("name,theta_E_arcsec\nJ1,1.2\n")
    return folder


def height_to_width(path: str) -> float:
    picture = imread(path)
    return picture.shape[0] / picture.shape[1]


def test_draws_live_lenses(lenskit: Callable[..., Any]) -> None:
    outcome = lenskit(*BLOBS, "-o", "a.png")
    assert (outcome.status, outcome.out) == (0, "a.png\n")
    assert imread("a.png")[..., :3].std() > 0.1
    assert lenskit(*BLOBS).out == "pairs.png\n"
    assert Path("pairs.png").read_bytes() == Path("a.png").read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize(
    "flags",
    [
        ("--seed", 1), ("--first", 2), ("--pairs", "default"), ("--stretch", "linear"), ("--size", 8), ("--before",),
        ("--set", "simulator.width=3"), ("--parameters", "x,width"), ("--lenses", 3),
    ],
    ids=str,
)  # fmt: skip
def test_each_flag_changes_the_picture(flags: tuple, lenskit: Callable[..., Any]) -> None:
    lenskit(*BLOBS, "-o", "plain.png")
    assert lenskit(*BLOBS, *flags, "-o", "other.png").status == 0
    assert Path("other.png").read_bytes() != Path("plain.png").read_bytes()


@pytest.mark.slow
def test_two_strategies_side_by_side(lenskit: Callable[..., Any]) -> None:
    assert lenskit(*BLOBS, "--pairs", "lens-fixed", "-o", "one.png").status == 0
    assert lenskit(*BLOBS, "--pairs", "lens-fixed", "--pairs", "default", "-o", "two.png").status == 0
    assert height_to_width("two.png") < 0.7 * height_to_width("one.png")


@pytest.mark.slow
def test_what_the_views_are_made_of_comes_first(lenskit: Callable[..., Any]) -> None:
    """If one image is augmented twice, `--before` adds a third row."""
    for flags, name in (((), "two.png"), (("--before",), "three.png")):
        assert lenskit(*BLOBS, "--pairs", "default", *flags, "-o", name).status == 0
    assert height_to_width("three.png") > 1.3 * height_to_width("two.png")


@pytest.mark.slow
def test_a_run_and_a_recipe_can_be_shown(lenskit: Callable[..., Any]) -> None:
    lenskit(*BLOBS, "--pairs", "default", "-o", "flags.png")
    Path("run.toml").write_text(lenskit("train", "--recipe", "toys", "--pairs", "default", "--print-config").out)
    assert lenskit("show", "--config", "run.toml", "--lenses", 2, "--dpi", 50, "-o", "config.png").status == 0
    assert lenskit("show", "--recipe", "toys", "--lenses", 2, "--dpi", 50, "-o", "recipe.png").status == 0
    assert Path("config.png").read_bytes() == Path("recipe.png").read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("ending", ["pdf", "svg"])
def test_draws_for_print(ending: str, lenskit: Callable[..., Any]) -> None:
    assert lenskit(*BLOBS, "-o", f"a.{ending}").status == 0
    assert {"pdf": b"%PDF", "svg": b"<?xml"}[ending] in Path(f"a.{ending}").read_bytes()[:10]


@pytest.mark.slow
def test_draws_stored_lenses_as_they_are(folder: Path, lenskit: Callable[..., Any]) -> None:
    """All lenses are drawn if there are fewer than asked; stored pairs stay pairs."""
    for flags, name in (((), "single.png"), (("--lenses", 2), "fewer.png"), (("--pairs", "default"), "pairs.png")):
        assert lenskit("show", "--data", folder, "--dpi", 50, *flags, "-o", name).status == 0
    assert height_to_width("pairs.png") > 1.5 * height_to_width("single.png")
    assert height_to_width("fewer.png") > 1.2 * height_to_width("single.png")


BAD = {
    "--output a.jpg": "a.jpg must end in .png, .pdf, .svg",
    "--output nowhere/a.png": "there is no folder nowhere",
    "--data nowhere": "there are no data at nowhere",
    "--data labels.txt": "no reader recognises labels.txt; name the reader",
    "--data images --simulator blobs": "--data and --simulator exclude each other",
    "--data images --first 3": "the data hold 3 lenses: there is no lens 3",
    "--data images --pairs lens-fixed": "the pairs need 2 images of each lens, but the data hold 1",
    "--simulator blobbs": "unknown simulator 'blobbs'; did you mean blobs",
    "--simulator blobs --pairs lensfixed": "unknown pair strategy 'lensfixed'; did you mean lens-fixed",
    "--simulator blobs --parameters widht": "there is no parameter 'widht' (did you mean width?); there are width, x",
    "--simulator blobs --stretch log": "section 'input': option stretch takes str, got 'log' ('log' is none of asinh, ",
    "--simulator blobs --size 3": "section 'input': option size takes int >= 8",
    "--simulator blobs --lenses 0": "Invalid value for '--lenses': 0 is not in the range 1<=x<=60.",
    "--simulator blobs --rgb 1,2": "--rgb takes three channel numbers, such as 2,1,0, got '1,2'",
    "--simulator blobs --rgb r,g,b": "--rgb takes three channel numbers, such as 2,1,0, got 'r,g,b'",
    "--simulator blobs --rgb ²,1,0": "--rgb takes three channel numbers, such as 2,1,0, got '²,1,0'",
    "--simulator blobs --rgb 0,1,2": "--rgb needs images with three channels or more, these have 1",
    "--data colours --rgb 0,1,9": "--rgb names channel 9: the images have channels 0 to 2",
    "--simulator blobs --first 9223372036854775808": "lenses have numbers below 2^63: there is no lens 92233720368",
    "--recipe toy": "unknown recipe 'toy'; did you mean toys",
    "--simulator blobs --set simulator.widht=3": "simulator 'blobs@lenskit-ssl-toys' has no option 'widht'",
}


@pytest.mark.parametrize("line", BAD)
def test_bad_input_is_one_line_and_leaves_nothing_behind(line: str, folder: Path, lenskit: Callable[..., Any]) -> None:
    Path("labels.txt").write_text("")
    Path("colours").mkdir()
    fits.writeto("colours/J0.fits", np.ones((3, 16, 16), "f4"))
    assert lenskit("show", *line.split()).complaint().startswith(BAD[line])
    assert sorted(path.name for path in Path().iterdir()) == ["colours", "images", "labels.txt"]


def test_images_that_are_not_finite_are_told(install: Callable[..., None], lenskit: Callable[..., Any]) -> None:
    hooks = """
@hookimpl
def lenskit_simulators():
    return [Component("dark", "dark:Dark", "NaNs")]
"""
    text = """
import torch
from lenskit_toys.components import Blobs

class Dark(Blobs):
    def render(self, scene, omit=()):
        return super().render(scene, omit) * torch.nan
"""
    install("acme", hooks, dark=text)
    assert lenskit("show", "--simulator", "dark").complaint(1) == (
        "simulator 'dark' of lenskit-ssl-acme 1.0 gives images with NaN or infinite values (1024 of 1024)"
    )


def test_a_full_disk_is_one_line(lenskit: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    def full(file: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    assert lenskit(*BLOBS, "-o", "a.png").complaint(1).startswith("No space left on device")
    assert list(Path().iterdir()) == []


# --- Existing files ---


@pytest.mark.slow
def test_only_a_picture_of_its_own_is_replaced_unasked(lenskit: Callable[..., Any]) -> None:
    for ending in ("png", "pdf", "svg"):
        own, mine = f"own.{ending}", f"mine.{ending}"
        for seed in (0, 1):
            assert lenskit(*BLOBS, "-o", own, "--seed", seed).status == 0
        Figure().savefig(mine)
        before = Path(mine).read_bytes()
        complaint = lenskit(*BLOBS, "-o", mine).complaint()
        assert complaint == f"{mine} exists: choose another -o, or replace it with --overwrite"
        assert Path(mine).read_bytes() == before
        assert lenskit(*BLOBS, "-o", mine, "--overwrite").status == 0
        assert Path(mine).read_bytes() != before


def test_neither_inputs_nor_links_nor_folders_are_replaced(folder: Path, lenskit: Callable[..., Any]) -> None:
    mine = folder / "mine.png"
    mine.write_text("a picture among the data")
    Path("folder.png").mkdir()
    Path("link.png").symlink_to(mine)
    flags = ("show", "--data", folder, "--overwrite", "-o")
    assert lenskit(*flags, mine).complaint().startswith(f"{mine} belongs to {folder}, an input of this command")
    assert lenskit(*flags, "folder.png").complaint() == "folder.png is a folder: choose another -o"
    assert lenskit(*BLOBS, "-o", "link.png").complaint().startswith("link.png exists")
    assert mine.read_text() == "a picture among the data"
