"""Zarr stores as written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from lenskit.plugin import Parameter
from lenskit.store.plan import Plan
from lenskit.store.zarr_format import ZarrFormat


def test_what_numbers_things_says_so(plan: Callable[..., Plan], tmp_path: Path) -> None:
    """The attribute marks identities for readers, and a copy of a data set keeps it."""
    store = ZarrFormat(tmp_path / "a.zarr")
    stamp, width = Parameter("stamp", identity=True), Parameter("width")
    assert store._create_coordinate(plan(), stamp).attrs["identity"] is True
    assert "identity" not in store._create_coordinate(plan(), width).attrs
