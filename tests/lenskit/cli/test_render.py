"""Verb `lenskit render`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lenskit as python

BLOBS = ("--simulator", "blobs", "--set", "simulator.pixels=8")


@pytest.fixture
def table() -> str:
    Path("lenses.csv").write_text("name,width\na,1.5\nb,\n")
    return "lenses.csv"


@pytest.mark.parametrize("out", ["out.npy", "out.mat", "out.h5", "out"])
def test_makes_what_python_makes(lenskit: Callable[..., Any], caplog: Any, table: str, out: str) -> None:
    outcome = lenskit("render", table, *BLOBS, "--seed", 3, "-o", out)
    assert (outcome.status, outcome.out, outcome.err) == (0, "", "")
    assert caplog.messages[-1] == f"{out} holds 2 images of 1 x 8 x 8"
    images, _ = python.render(table, "blobs", set={"pixels": 8}, seed=3)
    assert images.shape == (2, 1, 8, 8)
    if out == "out.npy":
        np.testing.assert_array_equal(np.load(out), images)
    assert "exists" in lenskit("render", table, *BLOBS, "-o", out).complaint()
    assert lenskit("render", table, *BLOBS, "-o", out, "--overwrite").status == 0


def test_what_is_written_is_what_data_info_reads(lenskit: Callable[..., Any], table: str) -> None:
    assert lenskit("render", table, *BLOBS, "-o", "out.h5").status == 0
    told = lenskit("data", "info", "out.h5").out
    assert "1 x 8 x 8 (channels, height, width)" in told
    assert "width  arcsec" in told
    assert lenskit("data", "check", "out.h5").status == 0


def test_a_recipe_says_which_simulator(lenskit: Callable[..., Any], table: str) -> None:
    assert lenskit("render", table, "--recipe", "toys", "-o", "out.npy").status == 0
    assert np.load("out.npy").shape[0] == 2


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("none.csv", "-o", "a"), "none.csv cannot be read: No such file or directory"),
        (
            ("lenses.csv", "-o", "a.tif"),
            "give the --format of a.tif (hdf5, mat, npy, pgm, png), or use an ending of .h5",
        ),
        (("lenses.csv", "-o", "a.npy", "--bits", "8"), "--bits is for PNG, not for npy"),
        (
            ("lenses.csv", "-o", "a", "--ignore", "with"),
            "lenses.csv has no column 'with' to ignore (did you mean width?)",
        ),
        (("lenses.csv", "-o", "a", "--simulator", "blob"), "did you mean blobs"),
        (("lenses.csv", "-o", "a", "--set", "method.lr=1"), "render takes options of simulator, not of method"),
        (("wrong.csv", "-o", "a"), "wrong.csv, line 3, column width: 'x' is not a number"),
        (
            ("other.csv", "-o", "a"),
            "column widht is unknown to blobs@lenskit-ssl-toys (did you mean width?); possible columns: width",
        ),
        (("other.csv", "-o", "lenses.csv", "--format", "npy"), "lenses.csv exists"),
    ],
)
def test_bad_input_costs_one_line(
    lenskit: Callable[..., Any], table: str, arguments: tuple[str, ...], complaint: str
) -> None:
    Path("wrong.csv").write_text("width\n1\nx\n")
    Path("other.csv").write_text("widht\n1\n")
    before = sorted(Path().iterdir())
    named = () if "--simulator" in arguments else ("--simulator", "blobs")
    assert complaint in lenskit("render", *arguments, *named).complaint()
    assert sorted(Path().iterdir()) == before
