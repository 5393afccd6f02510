"""The scripts of examples/deeplense, which import each other as modules of one folder."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

FOLDER = Path(__file__).resolve().parents[3] / "examples" / "deeplense"


@pytest.fixture(scope="module")
def example(request: pytest.FixtureRequest) -> Iterator[ModuleType]:
    """The script that a test module names as `SCRIPT`; nothing of the folder stays imported."""
    sys.path.insert(0, str(FOLDER))
    try:
        yield import_module(request.module.SCRIPT)
    finally:
        sys.path.remove(str(FOLDER))
        for script in FOLDER.glob("*.py"):
            sys.modules.pop(script.stem, None)
