"""Verb `lenskit simulate`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lenskit.cli.simulate import command
from lenskit.store.store import Store

BLOBS = ("simulate", "--simulator", "blobs", "--set", "simulator.pixels=8", "--workers", "1")
FLAGS = "recipe config simulator pairs set lenses views seed split dtype chunk format workers dask out overwrite"


def test_has_the_flags_that_users_were_promised() -> None:
    assert {flag for parameter in command.params for flag in parameter.opts} == {f"--{flag}" for flag in FLAGS.split()}


def test_flags_say_what_is_stored(lenskit: Callable[..., Any], tmp_path: Path) -> None:
    flags = ("--lenses", 7, "--seed", 3, "--split", "test", "--views", 3, "--dtype", "float16", "--chunk", 5)
    outcome = lenskit(*BLOBS, *flags, "--out", "pairs.zarr")
    assert (outcome.status, outcome.out) == (0, "")
    assert "2/2 chunks" in outcome.err
    store = Store("pairs.zarr")
    assert store.complete
    assert store.plan.configuration == {
        "simulator": {"name": "blobs@lenskit-ssl-toys", "width": "uniform(1, 3)", "pixels": 8},
        "pairs": {"name": "lens-fixed"},
        "simulate": {
            "lenses": 7, "views": 3, "shared": ["lens"], "seed": 3, "split": "test", "dtype": "float16", "chunk": 5,
        },
    }  # fmt: skip


@pytest.mark.parametrize("out", ["pairs.zarr", "pairs.h5"])
def test_the_next_command_is_one_that_works(
    lenskit: Callable[..., Any], caplog: pytest.LogCaptureFixture, out: str
) -> None:
    assert lenskit(*BLOBS, "--lenses", 3, "--out", out).status == 0
    told = caplog.messages[-1]
    assert told.startswith(f"{out} holds 3 lenses")
    assert ("next: lenskit " in told) == (lenskit("data", "info", out).status == 0)


def test_a_recipe_says_which_lenses(lenskit: Callable[..., Any]) -> None:
    assert lenskit("simulate", "--recipe", "toys", "--workers", 1, "--out", "pairs.zarr").status == 0
    plan = Store("pairs.zarr").plan
    assert (plan.configuration["simulator"]["name"], plan["lenses"]) == ("blobs@lenskit-ssl-toys", 16)


@pytest.mark.slow
def test_the_path_alone_goes_on_with_a_store(lenskit: Callable[..., Any], tmp_path: Path) -> None:
    for out in ("pairs.zarr", "pairs.h5"):
        assert lenskit(*BLOBS, "--lenses", 7, "--chunk", 3, "--out", out).status == 0
    assert lenskit(*BLOBS, "--lenses", 7, "--chunk", 3, "--format", "fits", "--out", "pairs").status == 0
    chunk, image = Path("pairs.zarr/images/c.1.0.0.0.0"), Path("pairs/4.fits")
    before = chunk.read_bytes(), image.read_bytes()
    chunk.unlink()
    image.unlink()
    for out in ("pairs.zarr", "pairs", "pairs.h5"):
        assert lenskit("simulate", "--workers", 1, "--out", out).status == 0
    assert (chunk.read_bytes(), image.read_bytes()) == before


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ((), "the number of lenses is missing: pass --lenses N"),
        (("--lenses", "0"), "Invalid value for '--lenses'"),
        (("--lenses", "3", "--set", "method.lr=1"), "takes options of simulator and pairs, not of method"),
        (("--lenses", "3", "--set", "simulator.pixel=9"), "no option 'pixel': did you mean pixels?"),
        (("--lenses", "3", "--pairs", "lens-fixd"), "did you mean lens-fixed"),
        (("--lenses", "3", "--out", "pairs.tar"), "give the --format of pairs.tar (fits, hdf5, npy-folder"),
        (("--lenses", "3", "--out", ""), "--out takes the path of the store, such as pairs.zarr, got ''"),
        (("--lenses", "3", "--out", "."), "--out takes the path of the store, such as pairs.zarr, got '.'"),
        (("--lenses", "3", "--out", "/"), "--out takes the path of the store, such as pairs.zarr, got '/'"),
        (("--lenses", "3", "--dtype", "float16", "--format", "fits"), "FITS has no float16"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(
    lenskit: Callable[..., Any], tmp_path: Path, arguments: tuple[str, ...], complaint: str
) -> None:
    assert complaint in lenskit(*BLOBS, "--out", "pairs", *arguments).complaint()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_flags_that_name_no_configuration_are_over_the_one_that_is_there(lenskit: Callable[..., Any]) -> None:
    flags = ("--pairs", "default", "--views", 3, "--lenses", 7, "--chunk", 3, "--split", "test")
    assert lenskit(*BLOBS, *flags, "--out", "pairs.zarr").status == 0
    again = ("simulate", "--workers", 1, "--out", "pairs.zarr")
    for flag, value, difference in (
        ("--seed", 1, "simulate.seed: it has 0, this would be 1;"),
        ("--lenses", 300, "simulate.lenses: it has 7, this would be 300;"),
        ("--dtype", "float16", "simulate.dtype: it has 'float32', this would be 'float16';"),
    ):
        assert f"pairs.zarr differs in {difference}" in lenskit(*again, flag, value).complaint()
    assert lenskit(*again, "--lenses", 7).status == 0
    held = Store("pairs.zarr").plan.configuration
    assert lenskit(*again, "--seed", 1, "--overwrite").status == 0
    assert Store("pairs.zarr").plan.configuration == held | {"simulate": held["simulate"] | {"seed": 1}}


def test_a_difference_is_one_line(lenskit: Callable[..., Any]) -> None:
    assert lenskit(*BLOBS, "--lenses", 7, "--out", "pairs.zarr").status == 0
    complaint = lenskit(*BLOBS, "--lenses", 8, "--out", "pairs.zarr").complaint()
    assert "differs in simulate.lenses: it has 7, this would be 8; choose another --out, or replace it" in complaint
    assert lenskit(*BLOBS, "--lenses", 8, "--out", "pairs.zarr", "--overwrite").status == 0
    assert Store("pairs.zarr").plan["lenses"] == 8
