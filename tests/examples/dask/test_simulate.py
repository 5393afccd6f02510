"""The script fills a store on a cluster with the bytes that one process writes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from lenskit.cli.main import run

pytest.importorskip("distributed")

SCRIPT = Path(__file__).resolve().parents[3] / "examples" / "dask" / "simulate.py"
OPTIONS = ("--simulator", "blobs", "--chunk", "2", "--lenses", "8", "--workers", "1")


@pytest.mark.slow
def test_the_store_is_that_of_one_process() -> None:
    done = subprocess.run([sys.executable, SCRIPT, "lenses.zarr", *OPTIONS], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    checked, read = done.stdout.splitlines()
    assert checked == "lenses.zarr: all 10 parts are sound"
    assert read.startswith("8 lenses, pixels from")
    assert run(["simulate", "--out", "whole.zarr", *OPTIONS]) == 0
    assert content(Path("lenses.zarr")) == content(Path("whole.zarr"))


def content(store: Path) -> dict[str, bytes]:
    return {str(file.relative_to(store)): file.read_bytes() for file in store.rglob("*") if file.is_file()}


@pytest.mark.slow
def test_a_wrong_option_ends_the_script() -> None:
    arguments = ("lenses.zarr", "--scheduler", "tcp://127.0.0.1:9", "--chunk", "0")
    done = subprocess.run([sys.executable, SCRIPT, *arguments], capture_output=True, text=True)
    assert done.returncode == 2
    assert "--chunk" in done.stderr
