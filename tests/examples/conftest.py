"""The scripts of the folders of examples, which import each other as modules of one folder."""

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
    """The script that a test module names as `SCRIPT`, of the folder that is called as the module's; nothing of the
    folder stays imported."""
    folder = EXAMPLES / request.path.parent.name
    sys.path.insert(0, str(folder))
    try:
        yield import_module(request.module.SCRIPT)
    finally:
        sys.path.remove(str(folder))
        for script in folder.glob("*.py"):
            sys.modules.pop(script.stem, None)
