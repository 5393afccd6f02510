"""Reading of stores: missing or damaged files are never read as images."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from lenskit.errors import LenskitError, UsageError
from lenskit.store.chunk_locks import Claims
from lenskit.store.cluster import make_chunk
from lenskit.store.formats import open_format
from lenskit.store.plan import Plan
from lenskit.store.simulate import begin, simulate
from lenskit.store.store import Store, coordinate_name, is_store

from .conftest import tree

Make = Callable[..., Plan]


@pytest.fixture
def out(plan: Make, tmp_path: Path) -> Path:
    simulate(plan(), tmp_path / "pairs.zarr")
    return tmp_path / "pairs.zarr"


def flip(file: Path, bit: int = 5000) -> None:
    data = bytearray(file.read_bytes())
    data[bit // 8] ^= 1 << bit % 8
    file.write_bytes(data)


def test_chunks_of_a_whole_store_are_sound(out: Path) -> None:
    parts = ["images/zarr.json", "images/c.0.0.0.0.0", "images/c.1.0.0.0.0", "images/c.2.0.0.0.0"]
    parts += ["channel", "y", "x", "width", "parameter_x"]
    assert list(Store(out).check()) == [(part, "") for part in parts]
    assert Store(out).read(2).shape == (2, 2, 1, 8, 8)


def test_a_flipped_bit_is_noticed_and_its_chunk_named(out: Path) -> None:
    flip(out / "images" / "c.1.0.0.0.0")
    store = Store(out)
    with pytest.raises(LenskitError, match=r"images/c\.1\.0\.0\.0\.0 is damaged .*lenskit data check .*simulate --out"):
        store.read(1)
    assert np.isfinite(store.read(0)).all()
    assert [part for part, wrong in store.check() if wrong] == ["images/c.1.0.0.0.0"]


def test_a_fault_reaches_another_process(out: Path) -> None:
    (out / "images" / "c.1.0.0.0.0").unlink()
    with pytest.raises(LenskitError) as raised:
        Store(out).read(1)
    assert str(pickle.loads(pickle.dumps(raised.value))) == str(raised.value)


def test_a_flipped_bit_in_parameters_is_noticed(out: Path) -> None:
    flip(out / "width" / "c.0", 70)
    store = Store(out)
    assert [part for part, wrong in store.check() if wrong] == ["width"]
    with pytest.raises(LenskitError, match="width is damaged"):
        store.values(store.parameters[0])


def test_a_chunk_cut_short_or_absent_is_no_chunk_of_nans(out: Path) -> None:
    with (out / "images" / "c.0.0.0.0.0").open("r+b") as file:
        file.truncate(1000)
    (out / "images" / "c.1.0.0.0.0").unlink()
    (out / "width" / "c.0").unlink()
    store = Store(out)
    assert store.missing() == [0, 1]
    assert [part for part, wrong in store.check() if wrong] == ["images/c.0.0.0.0.0", "images/c.1.0.0.0.0", "width"]
    for read in (lambda: store.read(0), lambda: store.read(1), lambda: store.values(store.parameters[0])):
        with pytest.raises(LenskitError, match="is damaged|is missing"):
            read()


def test_parameters_of_an_incomplete_store_are_not_given(plan: Make, tmp_path: Path) -> None:
    out = tmp_path / "pairs.zarr"
    claims = Claims(out)
    with claims.joined(lambda: None):
        begin(open_format("zarr", out), plan(), claims, overwrite=False)
    store = Store(out)
    assert (store.complete, store.missing()) == (False, [0, 1, 2])
    with pytest.raises(LenskitError, match=r"3 of 3 chunks are missing; finish it with: lenskit simulate --out"):
        store.values(store.parameters[0])


def remove(file: Path) -> None:
    file.unlink()


def overwrite(file: Path) -> None:
    file.write_text("{")


def reshape(file: Path) -> None:
    file.write_text(file.read_text().replace('"shape": [\n    10', '"shape": [\n    11'))


@pytest.mark.parametrize(
    ("file", "harm", "part"),
    [
        ("images/c.1.0.0.0.0", flip, "images/c.1.0.0.0.0"),
        ("images/c.1.0.0.0.0", remove, "images/c.1.0.0.0.0"),
        ("images/zarr.json", overwrite, "images/zarr.json"),
        ("images/zarr.json", remove, "images/zarr.json"),
        ("images/zarr.json", reshape, "images/zarr.json"),
        ("width/c.0", lambda file: flip(file, 70), "width"),
        ("width/c.0", remove, "width"),
        ("width/zarr.json", overwrite, "width"),
        ("parameter_x/c.0.0", lambda file: flip(file, 70), "parameter_x"),
        ("y/c.0", lambda file: flip(file, 70), "y"),
    ],
)
def test_doing_what_is_said_of_damage_makes_the_store_whole(
    plan: Make, out: Path, file: str, harm: Callable[[Path], None], part: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No existing image is rendered again."""
    whole = tree(out)
    harm(out / file)
    assert tree(out) != whole
    complaints = [(name, wrong) for name, wrong in Store(out).check() if wrong]
    assert [name for name, _ in complaints] == [part]
    wrong = complaints[0][1]
    assert wrong.endswith(f"lenskit simulate --out {out}")
    assert str(out / file) not in wrong
    assert "b'" not in wrong
    if "; remove it" in wrong:
        (out / part).unlink()
    elif not part.startswith("images/c."):
        monkeypatch.setattr("lenskit_toys.components.Blobs.render", None)
    simulate(plan(), out)
    assert tree(out) == whole


def test_restored_parameters_are_made_in_the_same_way(plan: Make, tmp_path: Path) -> None:
    wanted, out = plan(), tmp_path / "pairs.zarr"
    wanted.mode["versions"]["torch"] = "1.0"
    simulate(wanted, out)
    flip(out / "width" / "c.0", 70)
    with pytest.raises(UsageError, match="differs in mode.versions.torch: it has '1.0'"):
        simulate(plan(), out)


def test_damaged_parameters_of_an_incomplete_store_are_drawn_again(plan: Make, out: Path, tmp_path: Path) -> None:
    """This includes the last chunk, which has fewer lenses than the others."""
    part = tmp_path / "part.zarr"
    claims = Claims(part)
    with claims.joined(lambda: None):
        begin(open_format("zarr", part), plan(), claims, overwrite=False)
    for chunk in (0, 2):
        make_chunk(chunk, format="zarr", path=str(part), card=json.dumps(plan().attributes()))
    flip(part / "staging" / "c.2.0.0", 70)
    complaints = {name: wrong for name, wrong in Store(part).check() if wrong}
    assert list(complaints) == ["images/c.1.0.0.0.0", "staging/c.2.0.0", "zarr.json"]
    assert complaints["zarr.json"] == (
        f"marks the store as incomplete (1 of 3 chunks are missing); finish it with: lenskit simulate --out {part}"
    )
    simulate(plan(), part)
    assert tree(part) == tree(out)


def test_what_is_no_store_or_another_version_is_told(out: Path, tmp_path: Path) -> None:
    group = json.loads((out / "zarr.json").read_text())
    group["attributes"]["format_version"] = 2
    (out / "zarr.json").write_text(json.dumps(group))
    with pytest.raises(UsageError, match="differs in format_version: it has 2, this version of lenskit supports 1"):
        Store(out)
    assert is_store(out)
    for text in ("{", "[]", "{}", '{"attributes": {"format": "other"}}'):
        (out / "zarr.json").write_text(text)
        assert not is_store(out)
        with pytest.raises(UsageError, match="is not a store of simulated pairs"):
            Store(out)
    with pytest.raises(UsageError, match="there is no store"):
        Store(tmp_path / "nowhere")


def test_names_of_arrays_do_not_clash(plan: Make) -> None:
    assert [coordinate_name(parameter) for parameter in plan().parameters] == ["width", "parameter_x"]
