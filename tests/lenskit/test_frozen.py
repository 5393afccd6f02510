"""Interface policy (docs/plugins/interface.md): old plugins keep working."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from lenskit.component import KINDS
from lenskit.discovery import find_plugins
from lenskit.facade import loaded
from lenskit.hookspecs import hookspec
from lenskit.registry import registry
from lenskit.testing import DatasetContract
from lenskit.testing.check import check_component
from tests.lenskit.frozen import ADDED, frozen, interface

PINNED = Path(__file__).parents[1] / "pinned"
"""Distribution that `lenskit plugin new` wrote with the frozen interface. It is never changed."""


@pytest.fixture
def pinned(monkeypatch: pytest.MonkeyPatch) -> Iterator[metadata.EntryPoint]:
    """Install the pinned plugin, and return its entry point."""
    monkeypatch.syspath_prepend(PINNED)
    registry.cache_clear()
    (point,) = metadata.distribution("lenskit-ssl-pinned").entry_points
    yield point
    registry.cache_clear()


def test_no_name_and_no_argument_of_the_frozen_interface_is_missing() -> None:
    assert sorted({*frozen()} - {*interface()}) == []


def test_each_added_name_is_listed() -> None:
    assert {*interface()} - {*frozen()} == ADDED


def later_specs() -> SimpleNamespace:
    """Return specifications of the hooks that take an argument more."""

    def spec(name: str) -> Any:
        def hook(context: object) -> Iterable[object]: ...

        hook.__name__ = name
        return hookspec(hook)

    return SimpleNamespace(**{name: spec(name) for name in (f"lenskit_{plural}" for plural in KINDS.values())})


def test_an_added_hook_argument_does_not_break_an_older_plugin(pinned: metadata.EntryPoint) -> None:
    now, later = find_plugins([pinned]), find_plugins([pinned], later_specs(), context="new")
    assert [record.component for record in later[1]] == [record.component for record in now[1]]
    assert {record.kind for record in later[1]} == {*KINDS}
    assert not later[0][0].error
    assert not later[0][0].refused


def test_a_newer_plugin_gets_the_added_argument(install: Any) -> None:
    install(
        "newer",
        "@hookimpl\n"
        "def lenskit_pairs(context):\n"
        "    return [Component(context, 'newer:Pairs', 'Its name is the argument')]\n",
    )
    (point,) = metadata.distribution("lenskit-ssl-newer").entry_points
    _, records = find_plugins([point], later_specs(), context="new")
    assert [record.name for record in records] == ["new"]


@pytest.mark.slow
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "dataset"])
def test_the_pinned_component_of_each_kind_meets_its_contract(kind: str, pinned: metadata.EntryPoint) -> None:
    outcomes = [*check_component(registry().find(kind, f"pinned-{kind}"))]
    assert [outcome for outcome in outcomes if outcome.fault] == []
    assert sum(not outcome.skipped for outcome in outcomes) > 3


class TestPinnedDataset(DatasetContract):
    component = "pinned-dataset"

    @pytest.fixture(autouse=True)
    def _installed(self, pinned: metadata.EntryPoint) -> None: ...

    def write(self, folder: Path) -> Path:
        np.save(folder / "images.npy", np.random.default_rng(0).random((3, 16, 16)))
        (folder / "labels.csv").write_text("name,theta_E\na,1.1\nb,\nc,0.9\n")
        return folder


def test_a_deprecated_name_works_and_warns_once() -> None:
    deprecated = {"lenskit.plugin.Simulation": "lenskit.plugin.Simulator"}
    with pytest.warns(
        FutureWarning, match=r"lenskit\.plugin\.Simulation is deprecated.*use lenskit\.plugin\.Simulator"
    ):
        first = loaded("Simulation", "lenskit.plugin", {}, deprecated)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        second = loaded("Simulation", "lenskit.plugin", {}, deprecated)
    assert first is second
    assert first.__name__ == "Simulator"
