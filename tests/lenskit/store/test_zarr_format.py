"""Zarr stores as written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from lenskit.plugin import Parameter
from lenskit.store.plan import Plan
from lenskit.store.store import open_array
from lenskit.store.zarr_format import ZarrFormat


@pytest.mark.slow
def test_an_identity_is_marked(plan: Callable[..., Plan], tmp_path: Path) -> None:
    """The attribute marks identities for readers, and a copy of a data set keeps it."""
    wanted = replace(plan(), parameters=(Parameter("stamp", identity=True), Parameter("width")))
    store = ZarrFormat(tmp_path / "a.zarr")
    store.create(wanted)
    store.finish(wanted)
    assert open_array(store.path / "stamp").attrs["identity"] is True
    assert "identity" not in open_array(store.path / "width").attrs
