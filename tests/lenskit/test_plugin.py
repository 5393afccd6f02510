"""The facades: names that plugins import."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib import import_module, metadata
from types import ModuleType

import pytest

import lenskit.evaluation
import lenskit.plugin
import lenskit.toolbox
from lenskit.interface import MOVED_NAMES

HEAVY = {"torch", "numpy", "pydantic", "pytorch_lightning", "scipy", "matplotlib", "rich"}


def heavy_after(code: str) -> set[str]:
    """Return the heavy packages that a new process imports for some code."""
    code += "\nimport sys; print(*{name.partition('.')[0] for name in sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return HEAVY & set(done.stdout.splitlines()[-1].split())


FACADES = (lenskit.plugin, lenskit.evaluation, lenskit.toolbox)
ALIASES = ("Array", "Content", "Scene", "Seed", "Subject", "SubjectT", "TableRows", "RESULT_FILES")
"""Types and constants that have no docstring of their own."""


@pytest.mark.parametrize(("facade", "name"), [(facade, name) for facade in FACADES for name in facade.__all__])
def test_every_name_is_there_and_documented(facade: ModuleType, name: str) -> None:
    value = getattr(facade, name)
    if name not in ALIASES:
        assert isinstance(value, type) or callable(value)
        assert value.__doc__


def test_what_every_component_needs_is_little() -> None:
    assert len(lenskit.plugin.__all__) <= 28


def test_an_unknown_name_is_an_import_error() -> None:
    with pytest.raises(ImportError, match=r"^lenskit\.plugin has no 'Simulater' .did you mean Simulator"):
        from lenskit.plugin import Simulater  # noqa: F401
    with pytest.raises(ImportError, match="cannot import name 'xyzzy'"):
        from lenskit.plugin import xyzzy  # noqa: F401


@pytest.mark.parametrize("facade", FACADES)
def test_names_are_listed(facade: ModuleType) -> None:
    assert dir(facade) == sorted(facade.__all__)


def test_a_name_of_another_facade_says_which() -> None:
    with pytest.raises(ImportError, match=r"^Embeddings is in lenskit\.evaluation, not in lenskit\.plugin"):
        from lenskit.plugin import Embeddings  # noqa: F401


@pytest.mark.parametrize(("old", "new"), MOVED_NAMES.items())
def test_a_name_that_was_replaced_says_by_what(old: str, new: str) -> None:
    with pytest.raises(ImportError, match=f"^{old} is no longer in lenskit.plugin: use {re.escape(new)} instead"):
        getattr(lenskit.plugin, old)
    module, _, name = new.rpartition(".")
    assert hasattr(import_module(module), name)


def test_hooks_of_bundled_plugins_are_light() -> None:
    hooks = [point.value for point in metadata.entry_points(group="lenskit.plugins")]
    assert len(hooks) > 5
    assert not heavy_after("\n".join(f"import {module}" for module in hooks))


@pytest.mark.slow
def test_a_base_class_brings_torch_when_it_is_asked_for() -> None:
    assert "torch" in heavy_after("from lenskit.plugin import Simulator")


def test_hook_modules_are_packages_of_their_own() -> None:
    for point in metadata.distribution("lenskit-ssl").entry_points.select(group="lenskit.plugins"):
        module = import_module(point.value)
        assert module.__name__ == f"lenskit_{point.name}.hooks"
