"""Search for the files of a data set in a folder."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lenskit.errors import UsageError
from lenskit_datasets.folders import ARRAYS, FITS, PICTURES, has_ending, kinds_in, look_through, matching, stem


def touch(*paths: str | Path) -> None:
    for path in map(Path, paths):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def names(root: Path, depth: int | None = None) -> list[str]:
    return [file.relative_to(root).as_posix() for file in look_through(root, depth).files]


@given(st.sampled_from(FITS), st.text("ab.", min_size=1), st.randoms())
def test_endings_are_found_in_capitals_or_not(ending: str, name: str, random) -> None:
    written = "".join(random.choice([letter, letter.upper()]) for letter in ending)
    assert has_ending(name + written)
    assert stem(name + written) == name


def test_what_belongs_to_the_system_is_left_out(tmp_path: Path) -> None:
    touch(
        "a.fits", "._a.fits", ".DS_Store", "J1/image.fits", "J1/._image.fits", ".git/b.fits", "__MACOSX/J1/image.fits"
    )
    assert names(tmp_path) == ["J1/image.fits", "a.fits"]
    assert [file.name for file in matching(tmp_path, "*").files] == ["a.fits"]
    assert [file.name for file in matching(tmp_path, "**/*.fits").files] == ["image.fits", "a.fits"]
    assert [file.name for file in matching(tmp_path, "._*").files] == ["._a.fits"]


def test_folders_as_deep_as_wanted_in_the_order_of_paths(tmp_path: Path) -> None:
    touch("b/c/d/4.fits", "b/c/3.fits", "b/2.fits", "b-a/2.fits", "a.fits")
    paths = [path for path in Path(tmp_path).rglob("*") if path.is_file()]
    assert look_through(tmp_path).files == sorted(paths)
    assert names(tmp_path, 0) == ["a.fits"]
    assert names(tmp_path, 1) == ["a.fits", "b/2.fits", "b-a/2.fits"]


def test_loops_of_links_end_and_no_folder_is_read_twice(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    root = tmp_path / "data"
    touch(root / "ring" / "a.png", root / "none" / "b.png", tmp_path / "other" / "c.png", tmp_path / "d.png")
    for link, target in (
        ("latest", "."), ("up", ".."), ("again", "ring"), ("none/back", ".."), ("other", "../other"),
        ("self", "self"),
    ):  # fmt: skip
        (root / link).symlink_to(target)
    (tmp_path / "other" / "loop").symlink_to(root)
    found = look_through(root)
    assert [file.relative_to(root).as_posix() for file in found.files] == ["none/b.png", "other/c.png", "ring/a.png"]
    found.tell(root)
    nowhere, loops = (record.getMessage() for record in caplog.records)
    assert nowhere == f"{root}: 1 link is broken and is left out: self"
    assert loops == f"{root}: 5 links lead back to folders and are left out: again, latest, none/back and 2 more"


def test_links_that_lead_nowhere_are_counted_and_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    touch("a.fits", "there/real.fits")
    Path("b.fits").symlink_to("/nowhere/b.fits")
    Path("c.fits").symlink_to("there/real.fits")
    for find in (look_through(tmp_path, 0), matching(tmp_path, "*.fits")):
        caplog.clear()
        assert [file.name for file in find.files] == ["a.fits", "c.fits"]
        find.tell(tmp_path)
        (record,) = caplog.records
        assert (record.levelno, record.getMessage()) == (
            logging.WARNING, f"{tmp_path}: 1 link is broken and is left out: b.fits"
        )  # fmt: skip


@pytest.mark.skipif(os.geteuid() == 0, reason="the administrator may read every folder")
def test_folders_that_may_not_be_read(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    touch("data/a.fits", "data/closed/b.fits")
    closed = Path("data/closed")
    closed.chmod(0)
    try:
        found = look_through(Path("data"))
        with pytest.raises(UsageError, match="the folder data/closed may not be read"):
            look_through(closed)
    finally:
        closed.chmod(0o700)
    found.tell(Path("data"))
    assert "1 folder may not be read and is left out: closed" in caplog.text


@pytest.mark.parametrize("pattern", ["/x", "**x", ""])
def test_what_is_no_pattern_is_refused(tmp_path: Path, pattern: str) -> None:
    with pytest.raises(UsageError, match=r"is not a pattern of files in .*use, for example, pattern=[*]/[*]"):
        matching(tmp_path, pattern)


def test_names_may_hold_the_characters_of_patterns(tmp_path: Path) -> None:
    root = tmp_path / "a [1]*"
    touch(root / "[x]" / "[1].fits")
    assert names(root) == ["[x]/[1].fits"]
    assert [file.name for file in matching(root, "*/*").files] == ["[1].fits"]


def test_kinds(tmp_path: Path) -> None:
    assert kinds_in(tmp_path) == set()
    touch("a/1.NPY", "a/notes.txt", "._x.png", "deep/er/a.png")
    assert kinds_in(tmp_path) == {ARRAYS}
    touch("b.FITS.GZ", "a/c.Tif")
    assert kinds_in(tmp_path) == {ARRAYS, FITS, PICTURES}
    np.save(tmp_path / "x.npy", np.zeros(3))
