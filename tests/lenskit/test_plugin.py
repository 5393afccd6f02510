"""All that a plugin author imports."""

from __future__ import annotations

import ast
import subprocess
import sys
from importlib import import_module, metadata
from pathlib import Path

import pytest

import lenskit.plugin

HEAVY = {"torch", "numpy", "pydantic", "pytorch_lightning", "scipy", "matplotlib", "rich"}


def heavy_after(code: str) -> set[str]:
    """Which heavy packages a fresh process has imported after running some code."""
    code += "\nimport sys; print(*{name.partition('.')[0] for name in sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return HEAVY & set(done.stdout.splitlines()[-1].split())


@pytest.mark.parametrize("name", lenskit.plugin.__all__)
def test_every_name_is_there_and_documented(name: str) -> None:
    value = getattr(lenskit.plugin, name)
    assert isinstance(value, type) or callable(value) or name in ("Scene", "Chunk")
    assert value.__doc__


def test_type_checkers_see_the_same_names_from_the_same_modules() -> None:
    tree = ast.parse(Path(lenskit.plugin.__file__).read_text())
    (block,) = [node for node in tree.body if isinstance(node, ast.If)]
    seen = {alias.name: node.module for node in block.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert seen == lenskit.plugin._LAZY


def test_an_unknown_name_is_an_import_error() -> None:
    with pytest.raises(ImportError, match="cannot import name 'Simulater'"):
        from lenskit.plugin import Simulater  # noqa: F401


def test_hooks_of_bundled_plugins_are_light() -> None:
    hooks = [point.value for point in metadata.entry_points(group="lenskit.plugins")]
    assert len(hooks) > 5
    assert not heavy_after("\n".join(f"import {module}" for module in hooks))


def test_a_base_class_brings_torch_when_it_is_asked_for() -> None:
    assert "torch" in heavy_after("from lenskit.plugin import Simulator")


def test_hook_modules_are_packages_of_their_own() -> None:
    for point in metadata.distribution("lenskit-ssl").entry_points.select(group="lenskit.plugins"):
        module = import_module(point.value)
        assert module.__name__ == f"lenskit_{point.name}.hooks"
