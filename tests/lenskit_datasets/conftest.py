"""Fixtures for the tests of readers: simulated pairs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lenskit.config import Config
from lenskit.store.plan import Plan
from lenskit.store.simulate import simulate

Simulated = Callable[..., Path]


@pytest.fixture
def simulated() -> Simulated:
    """Simulate blobs to a path.

    Call `simulated(tmp_path / "a.h5", "hdf5", pairs="single", lenses=5)`.
    """

    def make(path: Path, format: str = "zarr", pairs: str = "lens-fixed", **settings: Any) -> Path:
        layer = {"simulator": {"name": "blobs", "pixels": 8}, "pairs": {"name": pairs}}
        resolved = Config.resolve(layer, only=("simulator", "pairs"))
        simulate(Plan.of(resolved, **{"lenses": 10, "chunk": 4} | settings), path, format=format)
        return path

    return make
