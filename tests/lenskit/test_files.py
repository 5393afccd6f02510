"""Files are written atomically: a file that exists is complete."""

from __future__ import annotations

import os
from pathlib import Path
from typing import IO

import pytest

from lenskit.files import write_atomically


@pytest.mark.parametrize("content", ["späť\n", "späť\n".encode(), lambda file: file.write("späť\n".encode())])
def test_writes_text_bytes_or_what_a_function_writes(content, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("a longer old content")
    write_atomically(path, content)
    assert path.read_bytes() == "späť\n".encode()
    assert os.listdir(tmp_path) == ["file"]


def test_a_writer_that_raises_leaves_the_old_content(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")

    def write(file: IO[bytes]) -> None:
        file.write(b"half of the new")
        file.flush()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_atomically(path, write)
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["file"]


def test_a_reader_keeps_what_it_opened(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    with path.open() as opened:
        write_atomically(path, "new")
        assert opened.read() == "old"
    assert path.read_text() == "new"


def test_removes_the_rest_of_a_write_that_was_killed_and_nothing_of_others(tmp_path: Path) -> None:
    (tmp_path / "file.0123abcd.part").write_text("half, and longer than the new content")
    others = ["file.part", "file.mine.part", "other.0123abcd.part", "prefix-file.0123abcd.part"]
    for name in others:
        (tmp_path / name).write_text("half of a download")
    write_atomically(tmp_path / "file", "new")
    assert (tmp_path / "file").read_text() == "new"
    assert sorted(os.listdir(tmp_path)) == sorted(["file", *others])
    assert {(tmp_path / name).read_text() for name in others} == {"half of a download"}
