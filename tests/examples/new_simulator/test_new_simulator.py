"""The plugin is installed from a copy, and passes its own tests."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[3] / "examples" / "new-simulator"


@pytest.mark.slow
def test_the_wheel_passes_the_tests_of_the_plugin(tmp_path: Path) -> None:
    copy, site = tmp_path / "plugin", tmp_path / "site"
    shutil.copytree(FOLDER, copy, ignore=shutil.ignore_patterns(".*", "__pycache__"))
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-index", "--no-build-isolation"]
    subprocess.run([*pip, "--target", site, copy], check=True)
    shutil.rmtree(copy / "lenskit_ssl_double_plane")  # the tests use the installed files
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests"],
        cwd=copy,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(site), *filter(None, sys.path)])},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "skipped" not in done.stdout
