"""The folder of files that are kept for later."""

from __future__ import annotations

from pathlib import Path

import pytest

from lenskit.cache import cache_folder


def test_the_folder_follows_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LENSKIT_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", "/some/cache")
    assert cache_folder() == Path("/some/cache/lenskit")
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    assert cache_folder() == Path.home() / ".cache" / "lenskit"
    monkeypatch.setenv("LENSKIT_CACHE", "~/mine")
    assert cache_folder() == Path.home() / "mine"
