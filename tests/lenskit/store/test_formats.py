"""Store formats: discovery, third-party formats, and foreign files.

Files of others are never removed.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lenskit.errors import LenskitError, UsageError
from lenskit.store.formats import format_name, open_format
from lenskit.store.plan import Plan
from lenskit.store.simulate import simulate
from lenskit.store.store import Store

BLOBS = ("simulate", "--simulator", "blobs", "--pairs", "single", "--lenses", 4, "--workers", 1)
OUT = {"zarr": "s.zarr", "fits": "s", "hdf5": "s.h5", "npy-folder": "s.npys"}
MINE = {
    "zarr": {
        "notes": "notes",
        "images/x.part": "images/x",
        "mask/zarr.json": "mask/",
        "width/c.0.txt": "width/c.0.txt",
    },
    "fits": {"9.fits": "9.fits", "00.fits": "00.fits", "download.part": "download.part", "run/run.toml": "run/"},
    "hdf5": {"s.h5.filling/notes": "s.h5.filling/"},
    "npy-folder": {"4.npy": "4.npy", "simulation.json": "simulation.json", "1.fits.part": "1.fits.part"},
}


@pytest.mark.slow
@pytest.mark.parametrize("format", OUT)
def test_what_others_put_into_a_store_stays(format: str, lenskit: Callable[..., Any]) -> None:
    out = Path(OUT[format])
    assert lenskit(*BLOBS, "--out", out, "--format", format).status == 0
    for name, told in MINE[format].items():
        mine = Path(name) if format == "hdf5" else out / name
        mine.parent.mkdir(exist_ok=True)
        mine.write_text("mine")
        assert lenskit("simulate", "--out", out, "--workers", 1).status == 0  # resumes, and removes temporary files
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
        assert outcome.complaint().endswith("is not a lock file of lenskit: move it, or choose another --out")
    else:
        assert lenskit("simulate", "--out", "s.zarr", "--seed", 1, "--workers", 1, "--overwrite").status == 0
    assert Path(name).read_text() == "mine"


@pytest.mark.slow
def test_a_format_of_a_third_party_is_written_and_gone_on_with(lenskit: Callable[..., Any]) -> None:
    flags = (*BLOBS, "--chunk", 2)
    assert lenskit(*flags, "--format", "npy-folder", "--out", "x").status == 0
    assert lenskit(*flags, "--out", "x.zarr").status == 0
    files = [Path("x", f"{lens}.npy") for lens in range(4)]
    assert sorted(Path("x").iterdir()) == [*files, Path("x", "npy-folder.json")]
    store = Store("x.zarr")
    images = np.concatenate([store.read(0), store.read(1)])
    for lens, file in enumerate(files):
        record = np.load(file)
        np.testing.assert_array_equal(record["images"], images[lens])
        np.testing.assert_array_equal(record["values"][:, 0], store.values(store.parameters[0])[lens])
    whole = [file.read_bytes() for file in files]
    files[1].unlink()
    files[2].write_bytes(whole[2][:-1])
    Path("x", f"3.npy.{32 * 'a'}.part").touch()
    assert lenskit("simulate", "--out", "x", "--workers", 2).status == 0
    assert [file.read_bytes() for file in files] == whole
    assert len([*Path("x").iterdir()]) == 5


@pytest.mark.slow
def test_a_store_is_known_by_its_content_and_a_new_one_by_its_ending(plan: Callable[..., Plan], tmp_path: Path) -> None:
    for path, name in {"a": "zarr", "a.zarr": "zarr", "a.h5": "hdf5", "a.hdf5": "hdf5", "a.npys": "npy-folder"}.items():
        assert format_name(tmp_path / path) == name
    for name in ("fits", "hdf5", "npy-folder", "zarr"):
        simulate(plan(), tmp_path / name / "pairs.h5", format=name)
        assert format_name(tmp_path / name / "pairs.h5") == name
    simulate(plan(), tmp_path / "new.npys")
    assert open_format("npy-folder", tmp_path / "new.npys").whole(plan())


@pytest.mark.parametrize("name", ["fits", "npy-folder", "zarr"])
def test_nothing_is_made_in_a_store(
    name: str, plan: Callable[..., Plan], lenskit: Callable[..., Any], tmp_path: Path
) -> None:
    simulate(plan(), tmp_path / "pairs", format=name)
    complaint = lenskit(*BLOBS, "--out", "pairs/more.zarr").complaint()
    assert complaint == f"pairs/more.zarr is in the store {tmp_path / 'pairs'}: choose another --out"
    assert "is in the store" in lenskit("train", "--recipe", "toys", "--out", "pairs/run").complaint()


def test_an_unknown_format_is_one_line(lenskit: Callable[..., Any], tmp_path: Path) -> None:
    complaint = lenskit(*BLOBS, "--out", "x", "--format", "npy-foldr").complaint()
    assert complaint.startswith("unknown format 'npy-foldr'; did you mean npy-folder")
    with pytest.raises(UsageError, match="unknown format 'Zarr'"):
        open_format("Zarr", tmp_path / "x")


HOOK = "@hookimpl\ndef lenskit_formats():\n    return [Component('{name}', 'acme:Acme', 'A format')]\n"


def test_of_two_formats_with_one_ending_a_user_chooses(
    install: Callable[..., None], lenskit: Callable[..., Any]
) -> None:
    acme = "from lenskit_toys.npy_folder import NpyFolder\n\nclass Acme(NpyFolder):\n    card_file = 'acme.json'\n"
    install("acme", HOOK.format(name="acme"), acme=acme)
    complaint = lenskit(*BLOBS, "--out", "x.npys").complaint()
    assert complaint == "give the --format of x.npys: acme, npy-folder have that ending"
    assert lenskit(*BLOBS, "--out", "x.npys", "--format", "acme").status == 0
    assert lenskit("simulate", "--out", "x.npys", "--workers", 1).status == 0
    assert Path("x.npys/acme.json").is_file()


def test_of_two_formats_with_one_name_a_user_chooses(install: Callable[..., None], lenskit: Callable[..., Any]) -> None:
    acme = "from lenskit_toys.npy_folder import NpyFolder\n\nclass Acme(NpyFolder):\n    card_file = 'acme.json'\n"
    install("acme", HOOK.format(name="fits"), acme=acme)
    bundled = lenskit(*BLOBS, "--out", "bundled", "--format", "fits")
    assert "format 'fits' is from lenskit-ssl; to use a different one, type fits@lenskit-ssl-acme" in bundled.err
    assert not Path("bundled/acme.json").exists()
    assert lenskit(*BLOBS, "--out", "x", "--format", "fits@lenskit-ssl-acme").status == 0
    Path("x/2.npy").unlink()
    assert lenskit("simulate", "--out", "x", "--workers", 1).status == 0
    assert Path("x/2.npy").is_file()
    assert Path("x/acme.json").is_file()


@pytest.mark.parametrize(
    ("code", "wrong"),
    [
        ("import nothing_like_that", "cannot be loaded from acme:Acme"),
        (
            "class Acme:\n    pass\n",
            "from acme:Acme: TypeError: Acme does not derive from Format, ImageFormat or FeatureF",
        ),
        (
            "from lenskit.toolbox import FolderFormat\n\nclass Acme(FolderFormat):\n    suffix = '.x'\n",
            "acme:Acme lacks content",
        ),
    ],
)
def test_a_broken_format_costs_a_warning_and_the_others_work(
    code: str,
    wrong: str,
    plan: Callable[..., Plan],
    install: Callable[..., None],
    caplog: pytest.LogCaptureFixture,
    tmp_path: Path,
) -> None:
    install("acme", HOOK.format(name="acme"), acme=code)
    with caplog.at_level(logging.WARNING):
        simulate(plan(), tmp_path / "pairs.zarr")
    assert [wrong in record.getMessage() for record in caplog.records] == [True]
    with pytest.raises(LenskitError, match=wrong):
        simulate(plan(), tmp_path / "other", format="acme")
