"""What all tests share."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from hypothesis.configuration import set_hypothesis_home_dir

ROOT = Path(__file__).resolve().parent.parent
TOYS = ROOT / "tests" / "toys"

# The toys are a distribution of a third party, found through its entry point, here and in processes that tests start.
sys.path.insert(0, str(TOYS))
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(TOYS), os.environ.get("PYTHONPATH")]))

# Where hypothesis keeps what it found, for a run that shall leave no caches in the tree; .hypothesis if it is not set.
set_hypothesis_home_dir(os.environ.get("HYPOTHESIS_STORAGE_DIRECTORY"))


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of real galaxies, PSFs and lenses (`LENSKIT_TEST_DATA`, default ../shared/data beside the checkout)."""
    folder = Path(os.environ.get("LENSKIT_TEST_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder}: set LENSKIT_TEST_DATA")
    return folder


@pytest.fixture(autouse=True, scope="session")
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Nothing is left in the user's cache, or taken from it."""
    os.environ["LENSKIT_CACHE"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(autouse=True)
def in_tmp_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests run in a folder of their own, so that nothing is left behind in the tree."""
    monkeypatch.chdir(tmp_path)
