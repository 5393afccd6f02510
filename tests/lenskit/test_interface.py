"""Classes for interface 1 are recognised by their attributes."""

from __future__ import annotations

import pytest

from lenskit.chosen import Chosen
from lenskit.errors import LenskitError
from lenskit.interface import RENAMED, old_names
from lenskit.kinds.dataset import Dataset
from lenskit.kinds.method import Method, Predictor, Reconstructor, Scorer
from lenskit.kinds.pairs import PairStrategy
from lenskit.kinds.simulator import Simulator
from lenskit.registry import registry

BASES = {"method": Method, "pairs": PairStrategy, "dataset": Dataset, "simulator": Simulator}


def with_old(kind: str, old: str) -> type:
    """Return a component with an old name, or with an old parameter."""
    name, _, parameter = old.rstrip(")").partition("(")
    function = eval(f"lambda {', '.join(dict.fromkeys(['self', parameter]))}: None") if parameter else None
    return type("Written", (BASES[kind],), {"__module__": "acme", name: function})


@pytest.mark.parametrize(("kind", "old"), [(kind, old) for kind, names in RENAMED.items() for old in names])
def test_each_rename_is_found(kind: str, old: str) -> None:
    written = with_old(kind, old)
    assert old_names(kind, written) == [f"{old} to {RENAMED[kind][old]}"]
    assert old_names(kind, type("Derived", (written,), {"__module__": "acme"})) == [f"{old} to {RENAMED[kind][old]}"]
    assert not old_names(kind, type("Written", (BASES[kind],), {"__module__": "acme"}))


@pytest.mark.parametrize("kind", RENAMED)
def test_new_names_are_those_of_the_base(kind: str) -> None:
    for old, new in RENAMED[kind].items():
        assert hasattr(BASES[kind], new.partition("(")[0])
        assert "(" in old or not hasattr(BASES[kind], old)


def test_what_a_constructor_sets_is_found_when_it_is_built() -> None:
    """Without this error, pairs with the old name would silently share nothing."""

    class Old(PairStrategy):
        __module__ = "acme"

        def __init__(self) -> None:
            self.shared = frozenset({"lens"})

    with pytest.raises(LenskitError, match="pair strategy 'old' was written for plugin interface 1: change shared to"):
        Chosen("pairs", "old", Old, {}, {}).build()


def test_helpers_of_such_names_are_not_taken_for_old_ones() -> None:
    class New(Method):
        __module__ = "acme"

        def check(self) -> None: ...

        @property
        def usual(self) -> int:
            return 1

        def optimizer(self) -> None: ...

    assert not old_names("method", New)


def test_bundled_components_have_no_old_names() -> None:
    for kind in RENAMED:
        for record in registry().of_kind(kind):
            assert not old_names(kind, record.load()), record.name


@pytest.mark.parametrize(("name", "mixin"), [("score", Scorer), ("reconstruct", Reconstructor), ("predict", Predictor)])
def test_an_ability_without_its_mixin_is_found(name: str, mixin: type) -> None:
    own = {"__module__": "acme", name: lambda self, images: images}
    assert old_names("method", type("Written", (Method,), own)) == [f"{name} by deriving from {mixin.__name__}"]
    assert not old_names("method", type("Written", (Method, mixin), own))
