"""Fixture that imports the scripts of examples, which import each other."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


@pytest.fixture(scope="module")
def example(request: pytest.FixtureRequest) -> Iterator[ModuleType]:
    """Script that a test module names as `SCRIPT`.

    It is imported from the folder of examples with the name of the test's folder. Afterwards, no script of the folder
    stays imported.
    """
    folder = EXAMPLES / request.path.parent.name
    sys.path.insert(0, str(folder))
    try:
        yield import_module(request.module.SCRIPT)
    finally:
        sys.path.remove(str(folder))
        for script in folder.glob("*.py"):
            sys.modules.pop(script.stem, None)
