"""The plugin of the example, and its commands from a release to a page."""

from __future__ import annotations

import csv
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from runpy import run_path

import pytest

from lenskit.cli.main import run
from lenskit.registry import registry
from tests.examples.conftest import EXAMPLES

FOLDER = EXAMPLES / "new-lens-dataset"

SMALL = {
    "train": "--lenses 32 --epochs 1 --batch-size 16 --set monitor.probe_every=0 --backbone timm:test_resnet",
    "probe": "--lenses 20 --seeds 1 --no-controls --no-curves",
    "finetune": "--labels 20 --epochs 2 --no-random",
}
"""Flags that make the commands of the example small, by verb."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the installed plugin."""
    folder = tmp_path_factory.mktemp("plugin")
    source = shutil.copytree(FOLDER, folder / "source", ignore=shutil.ignore_patterns("__pycache__"))
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-index", "--no-build-isolation"]
    subprocess.run([*pip, "--no-compile", "--target", str(folder / "site"), str(source)], check=True)
    return folder / "site"


@pytest.fixture
def installed(site: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Install the plugin for this process and the processes that it starts."""
    monkeypatch.syspath_prepend(site)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(site), *filter(None, sys.path)]))
    registry.cache_clear()
    yield
    registry.cache_clear()
    for module in [name for name in sys.modules if name.partition(".")[0] == "lenskit_ssl_survey"]:
        del sys.modules[module]


def commands() -> Iterator[list[str]]:
    """Yield the command lines of `run.sh`, without the word `lenskit`."""
    for line in (FOLDER / "run.sh").read_text().replace("\\\n", " ").splitlines():
        if line.startswith("lenskit "):
            yield shlex.split(line)[1:]


@pytest.mark.slow
@pytest.mark.usefixtures("installed")
def test_the_commands_lead_from_files_to_radii_and_a_page(capsys: pytest.CaptureFixture[str]) -> None:
    run_path(str(FOLDER / "make_release.py"))["main"](lenses=60)
    for command in commands():
        assert run([*command, *shlex.split(SMALL.get(command[0], ""))]) == 0, command
    assert "survey@lenskit-ssl-survey" in capsys.readouterr().out
    with open("release-1/catalogue.csv") as file:
        good = [row["OBJ_ID"] for row in csv.DictReader(file) if row["QFLAG"] == "0"]
    with open("radii.csv") as file:
        rows = [*csv.DictReader(file)]
    assert [row["name"] for row in rows] == good
    assert all(float(row["theta_E_low"]) < float(row["theta_E"]) < float(row["theta_E_high"]) for row in rows)
    page = Path("report.html").read_text()
    assert all(name in page for name in ("simulations", "release", "probe", "finetune"))


@pytest.mark.slow
@pytest.mark.usefixtures("installed")
def test_the_plugin_passes_its_own_tests(tmp_path: Path) -> None:
    tests = shutil.copytree(FOLDER / "tests", tmp_path / "tests", ignore=shutil.ignore_patterns("__pycache__"))
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tests)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
