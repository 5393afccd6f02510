"""Every changed bit in a file of weights is detected, or has no effect."""

from __future__ import annotations

import io
import json
import struct
from collections.abc import Iterator
from pathlib import Path
from zipfile import ZipFile

import pytest
import torch
from safetensors.torch import load_file, save_file

from lenskit.checksums import Damaged, check_archive, load_tensors, save_tensors, seal_archive

CONTENT = {"a": torch.arange(15.0).reshape(3, 5), "b": torch.arange(10), "lenskit": {"batches": 3}}


def archive() -> io.BytesIO:
    buffer = io.BytesIO()
    torch.save(CONTENT, buffer)
    return buffer


def flips(content: bytes) -> Iterator[bytes]:
    """The content with one bit changed, in every third byte another one."""
    for place in range(0, len(content), 3):
        changed = bytearray(content)
        changed[place] ^= 1 << (place % 8)
        yield bytes(changed)


def is_content(loaded: dict) -> bool:
    return loaded.keys() == CONTENT.keys() and all(
        torch.equal(loaded[name], value) if isinstance(value, torch.Tensor) else loaded[name] == value
        for name, value in CONTENT.items()
    )


def test_a_sealed_archive_is_read_as_before(tmp_path: Path) -> None:
    path = tmp_path / "a.ckpt"
    path.write_bytes(seal_archive(archive()))
    check_archive(path, "restore it")
    assert is_content(torch.load(path, weights_only=True, mmap=True))
    with ZipFile(path) as opened:
        assert opened.testzip() is None


@pytest.mark.slow
def test_every_bit_of_a_sealed_archive_counts(tmp_path: Path) -> None:
    path, content = tmp_path / "a.ckpt", bytes(seal_archive(archive()))
    cut = [content[:size] for size in (0, 3, 30, len(content) // 2, len(content) - 30, len(content) - 1)]
    longer = [content + more for more in (b"\0", b"x" * 100, content[-45:])]
    for changed in [*flips(content), *cut, *longer]:
        path.write_bytes(changed)
        with pytest.raises(Damaged, match=r"a\.ckpt is damaged: .*; restore it"):
            check_archive(path, "restore it")


@pytest.mark.slow
def test_no_bit_of_an_archive_of_before_changes_what_is_read(tmp_path: Path) -> None:
    path, content = tmp_path / "a.ckpt", archive().getvalue()
    path.write_bytes(content)
    check_archive(path, "restore it")
    found = 0
    for changed in flips(content):
        path.write_bytes(changed)
        try:
            check_archive(path, "restore it")
            assert is_content(torch.load(path, weights_only=True, mmap=True))
        except (Damaged, RuntimeError):  # torch raises the latter for bytes without a checksum
            found += 1
    assert 3 * found > CONTENT["a"].nbytes + CONTENT["b"].nbytes
    for changed in (content[:-1], content[:100], content + b"\0"):
        path.write_bytes(changed)
        with pytest.raises(Damaged):
            check_archive(path, "restore it")


def test_tensors_come_back_with_their_metadata(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    tensors = {"weight": torch.randn(3, 5), "checksum": torch.arange(4), "none": torch.empty(0)}
    metadata = {"card": json.dumps({"checksum": "00000000", "text": "ü"}), "format": "pt"}
    path.write_bytes(save_tensors(tensors, metadata))
    assert path.read_bytes() == save_tensors(tensors, metadata)
    found, told = load_tensors(path, "restore it")
    assert {key: told[key] for key in metadata} == metadata
    for each in (found, load_file(path)):  # the latter is whatever else reads such files
        assert each.keys() == tensors.keys()
        assert all(torch.equal(each[name], tensors[name]) for name in tensors)


def test_every_bit_of_tensors_counts(tmp_path: Path) -> None:
    path, tensors = tmp_path / "a.safetensors", {"weight": torch.randn(3, 5), "bias": torch.randn(3)}
    content = save_tensors(tensors)
    (start,) = struct.unpack("<Q", content[:8])
    for changed in [*flips(content), content[:-1], content[:20], b"", content + b"\0"]:
        path.write_bytes(changed)
        try:
            found, _ = load_tensors(path, "restore it")
        except Damaged:
            continue
        else:  # a file without a checksum: it was its name in the header that changed
            assert changed[8 + start :] == content[8 + start :]
            assert all(torch.equal(found[name], tensors[name]) for name in tensors)


def test_files_without_a_checksum_are_opened(tmp_path: Path) -> None:
    save_file({"weight": torch.ones(2)}, tmp_path / "a.safetensors", {"format": "pt"})
    found, told = load_tensors(tmp_path / "a.safetensors", "restore it")
    assert (found["weight"].tolist(), told) == ([1, 1], {"format": "pt"})
