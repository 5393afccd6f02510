"""Prepared stamps on disk: reused if they match the request, else prepared again."""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open

from lenskit.errors import LenskitError
from lenskit_lensing.sources.stamp_folder import load_stamps
from lenskit_lensing.sources.stamp_sources import StampSources

SMALL = 48
"""Side of prepared images, which keeps files small."""


def disc(scale: float, size: int = 40) -> np.ndarray:
    offset = np.arange(size) - (size - 1) / 2
    image = np.exp(-np.hypot(offset, offset[:, None]) / scale)
    return np.where(image > 0.01, image, 0)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LENSKIT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Five clean stamps."""
    folder = tmp_path / "galaxies"
    folder.mkdir()
    np.save(folder / "stack.npy", np.stack([disc(2 + i / 2) for i in range(5)]))
    return folder


def load(folder: Path) -> StampSources:
    return load_stamps(folder, clean=True, size=SMALL)


def assert_same(one: StampSources, other: StampSources) -> None:
    for name in ("images", "half_light", "flux", "rows"):
        assert torch.equal(getattr(one, name), getattr(other, name)), name


def prepared(caplog: pytest.LogCaptureFixture) -> bool:
    """Whether stamps were prepared since the last call."""
    done = any("stamps are prepared" in record.message for record in caplog.records)
    caplog.clear()
    return done


@pytest.fixture(autouse=True)
def all_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="lenskit")


def test_stamps_are_prepared_once(cache: Path, folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    first = load(folder)
    assert prepared(caplog)
    again = load(folder)
    assert [record.message for record in caplog.records] == [
        f"{folder}: 5 galaxies, prepared before, from {next(cache.glob('*.safetensors'))}"
    ]
    assert_same(first, again)
    assert sorted(path.suffix for path in cache.iterdir()) == [".lock", ".safetensors"]


def test_images_are_mapped_and_private(cache: Path, folder: Path) -> None:
    load(folder)
    (path,) = cache.glob("*.safetensors")
    before = path.read_bytes()
    with safe_open(path, framework="np") as file:
        assert file.get_tensor("images").shape == (5, SMALL, SMALL)
        assert file.metadata()["catalogue"] == str(folder)
    sources = load(folder)
    with open("/proc/self/maps") as maps:
        assert str(path) in maps.read()
    sources.images[0] = 0
    assert path.read_bytes() == before


def test_whatever_is_asked_for_differently_is_prepared(
    cache: Path, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    load(folder)
    assert prepared(caplog)
    load_stamps(folder, clean=True, size=32)
    assert prepared(caplog)
    load_stamps(folder, clean=False, size=SMALL)
    assert prepared(caplog)
    np.save(folder / "more.npy", disc(3))
    assert len(load(folder).images) == 6
    assert prepared(caplog)
    os.utime(folder / "more.npy", (1, 1))
    load(folder)
    assert prepared(caplog)
    load(folder)
    assert not prepared(caplog)


@pytest.mark.parametrize("damage", ["cut short", "a bit", "emptied", "another's", "not safetensors", "header"])
def test_a_damaged_or_foreign_file_is_made_anew(
    cache: Path, folder: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    whole = load(folder)
    (path,) = cache.glob("*.safetensors")
    content = path.read_bytes()
    expected = {name: getattr(whole, name).clone() for name in ("images", "half_light", "flux", "rows")}
    if damage == "another's":
        load_stamps(folder, clean=True, size=32)
        (other,) = set(cache.glob("*.safetensors")) - {path}
        path.write_bytes(other.read_bytes())
    else:
        middle = len(content) * 3 // 4
        changed = bytes([content[middle] ^ 16])
        broken = {
            "cut short": content[:-100],
            "a bit": content[:middle] + changed + content[middle + 1 :],
            "emptied": b"",
            "not safetensors": b"x" * len(content),
            "header": bytes(8) + content[8:],
        }
        path.unlink()  # so that stamps that map the old file keep it
        path.write_bytes(broken[damage])
    prepared(caplog)
    again = load(folder)
    assert any("damaged, or not a file of prepared stamps" in record.message for record in caplog.records)
    assert path.read_bytes() == content
    assert_same(again, StampSources(**expected))


def test_without_a_folder_to_keep_them_stamps_are_prepared_all_the_same(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("LENSKIT_CACHE", str(tmp_path / "file"))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    sources = load(folder)
    assert len(sources.images) == 5
    assert any(record.message.startswith(f"{tmp_path / 'file'}: ") for record in caplog.records)
    assert torch.equal(sources.images.sum((1, 2), dtype=torch.float64).float(), sources.flux)


def test_a_full_disk_is_one_line(cache: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(file: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    cache.mkdir()
    load(folder)
    (path,) = cache.glob("*.safetensors")
    path.unlink()
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(LenskitError, match=r"No space left on device while .* set LENSKIT_CACHE to") as error:
        load(folder)
    assert "\n" not in str(error.value)
    assert sorted(path.suffix for path in cache.iterdir()) == [".lock"]


def test_of_two_that_come_at_once_one_prepares_and_the_other_waits(
    cache: Path, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Locks belong to an open file: threads exclude each other as processes do."""
    load(folder)
    (path,) = cache.glob("*.safetensors")
    path.unlink()
    prepared(caplog)

    def count(message: str) -> int:
        return sum(message in record.message for record in caplog.records)

    with ThreadPoolExecutor(2) as threads:
        with path.with_suffix(".lock").open("wb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            both = [threads.submit(load, folder) for _ in range(2)]
            deadline = time.monotonic() + 60
            while count("waiting for another process") < 2 and not any(thread.done() for thread in both):
                assert time.monotonic() < deadline
                time.sleep(0.01)
            assert count("stamps are prepared") == 0
        assert_same(*(thread.result() for thread in both))
    assert count("stamps are prepared") == 1


@pytest.mark.slow
def test_memory_does_not_grow_with_the_stamps_that_are_prepared(cache: Path, tmp_path: Path) -> None:
    """Measure private memory of the preparing process, without the mapped file.

    The mapped file is shared memory. The limit allows for stamps in transit.
    """
    for name, count in (("few", 400), ("many", 6000)):
        np.save(tmp_path / f"{name}.npy", np.broadcast_to(disc(3.0, 32).astype(np.float32), (count, 32, 32)))
    program = (
        "import re, torch; from pathlib import Path; from lenskit_lensing.sources.stamp_folder import load_stamps\n"
        "def now(): return int(re.search(r'RssAnon:\\s+(\\d+)', Path('/proc/self/status').read_text())[1]) * 1024\n"
        f"load_stamps({str(tmp_path / 'few.npy')!r}, clean=True, size=96)\n"
        "before = now()\n"
        f"stamps = load_stamps({str(tmp_path / 'many.npy')!r}, clean=True, size=96)\n"
        "stamps.images.sum(dtype=torch.float64)\n"
        "print((now() - before) / len(stamps.images))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    one_image = 2 * 96**2
    assert float(done.stdout.splitlines()[-1]) < one_image / 2
