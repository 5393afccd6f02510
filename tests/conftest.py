"""What all tests share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of real galaxies, PSFs and lenses (`LENSKIT_TEST_DATA`, default ../shared/data beside the checkout)."""
    folder = Path(os.environ.get("LENSKIT_TEST_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder}: set LENSKIT_TEST_DATA")
    return folder
