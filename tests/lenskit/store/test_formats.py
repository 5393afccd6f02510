"""Files of others in a store are never removed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

BLOBS = ("simulate", "--simulator", "blobs", "--pairs", "single", "--lenses", 4, "--workers", 1)
OUT = {"zarr": "s.zarr", "fits": "s", "hdf5": "s.h5"}
MINE = {
    "zarr": {
        "notes": "notes",
        "images/x.part": "images/x",
        "mask/zarr.json": "mask/",
        "width/c.0.txt": "width/c.0.txt",
    },
    "fits": {"9.fits": "9.fits", "00.fits": "00.fits", "download.part": "download.part", "run/run.toml": "run/"},
    "hdf5": {"s.h5.filling/notes": "s.h5.filling/"},
}


@pytest.mark.parametrize("format", OUT)
def test_what_others_put_into_a_store_stays(format: str, lenskit: Callable[..., Any]) -> None:
    out = Path(OUT[format])
    assert lenskit(*BLOBS, "--out", out, "--format", format).status == 0
    for name, told in MINE[format].items():
        mine = Path(name) if format == "hdf5" else out / name
        mine.parent.mkdir(exist_ok=True)
        mine.write_text("mine")
        assert lenskit("simulate", "--out", out, "--workers", 1).status == 0  # goes on, and sweeps
        complaint = lenskit("simulate", "--out", out, "--seed", 1, "--workers", 1).complaint()
        assert complaint.endswith("choose another --out")
        complaint = lenskit("simulate", "--out", out, "--seed", 1, "--workers", 1, "--overwrite").complaint()
        assert f"{out.name} holds {told}" in complaint
        assert mine.read_text() == "mine"
        mine.unlink()
        if mine.parent not in (out, out / "images", out / "width"):
            mine.parent.rmdir()
    assert lenskit("simulate", "--out", out, "--seed", 1, "--workers", 1, "--overwrite").status == 0


@pytest.mark.parametrize("name", ["s.zarr.lock", ".s.zarr.removed", "s.zarr.part"])
def test_what_lies_beside_a_store_stays(name: str, lenskit: Callable[..., Any]) -> None:
    Path(name).write_text("mine")
    outcome = lenskit(*BLOBS, "--out", "s.zarr")
    if name.endswith(".lock"):
        assert outcome.complaint().endswith("in the way, and no lock of lenskit: move it, or choose another --out")
    else:
        assert lenskit("simulate", "--out", "s.zarr", "--seed", 1, "--workers", 1, "--overwrite").status == 0
    assert Path(name).read_text() == "mine"
