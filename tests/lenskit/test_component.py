"""Records of components."""

from __future__ import annotations

from dataclasses import FrozenInstanceError

import pytest

from lenskit import hookspecs
from lenskit.component import INTERFACE, KINDS, Component


def test_every_kind_has_a_documented_hook_and_no_hook_is_without_a_kind() -> None:
    hooks = {name for name, value in vars(hookspecs).items() if hasattr(value, "lenskit_spec")}
    assert hooks == {f"lenskit_{plural}" for plural in KINDS.values()}
    assert all(getattr(hookspecs, hook).__doc__ for hook in hooks)


def test_a_record_is_for_this_interface_and_cannot_be_changed() -> None:
    record = Component("a", "b:C", "One line")
    assert record.interface == INTERFACE
    with pytest.raises(FrozenInstanceError):
        record.name = "b"  # type: ignore[misc]
