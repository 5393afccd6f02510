"""Classes that were written for interface 1 are recognised by what they define."""

from __future__ import annotations

import pytest

from lenskit.interface import RENAMED, old_names
from lenskit.kinds.dataset import Dataset
from lenskit.kinds.method import Method, Reconstructor, Scorer
from lenskit.kinds.pairs import PairStrategy
from lenskit.kinds.simulator import Simulator
from lenskit.registry import registry

BASES = {"method": Method, "pairs": PairStrategy, "dataset": Dataset, "simulator": Simulator}


@pytest.mark.parametrize(("kind", "old"), [(kind, old) for kind, names in RENAMED.items() for old in names])
def test_each_rename_is_found(kind: str, old: str) -> None:
    name, _, parameter = old.partition("(")
    if parameter.endswith("=)"):
        own = {"__module__": "acme", name: eval(f"lambda self, scene, {parameter.removesuffix('=)')}=(): None")}
    else:
        own = {"__module__": "acme", name: None}
    written = type("Written", (BASES[kind],), own)
    assert old_names(kind, written) == [f"{old} to {RENAMED[kind][old]}"]
    assert old_names(kind, type("Derived", (written,), {"__module__": "acme"})) == [f"{old} to {RENAMED[kind][old]}"]
    assert not old_names(kind, type("Written", (BASES[kind],), {"__module__": "acme"}))


@pytest.mark.parametrize("kind", RENAMED)
def test_new_names_are_attributes_of_the_base_and_old_ones_are_not(kind: str) -> None:
    for old, new in RENAMED[kind].items():
        assert hasattr(BASES[kind], new.partition("(")[0])
        assert old == "training_step(batch, batch_index)" or "(" in old or not hasattr(BASES[kind], old)


def test_bundled_components_have_no_old_names() -> None:
    for kind in RENAMED:
        for record in registry().of_kind(kind):
            assert not old_names(kind, record.load()), record.name


@pytest.mark.parametrize(("name", "mixin"), [("score", Scorer), ("reconstruct", Reconstructor)])
def test_an_ability_without_its_mixin_is_found(name: str, mixin: type) -> None:
    own = {"__module__": "acme", name: lambda self, images: images}
    assert old_names("method", type("Written", (Method,), own)) == [f"{name} by deriving from {mixin.__name__}"]
    assert not old_names("method", type("Written", (Method, mixin), own))
