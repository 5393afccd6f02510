"""Import contracts in pyproject.toml: they hold, and they detect violations."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PLUGINS = sorted(folder.name for folder in (ROOT / "plugins").iterdir() if (folder / "__init__.py").is_file())


def lint(project: Path) -> subprocess.CompletedProcess[str]:
    """Check the contracts of a source tree with import-linter."""
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache", "--no-logo"]
    paths = os.pathsep.join([str(project), str(project / "plugins")])
    environment = os.environ | {"PYTHONPATH": paths, "COLUMNS": "200"}
    return subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """Return a copy of the source tree that a test may change."""
    for folder in ("lenskit", "plugins"):
        for file in (ROOT / folder).rglob("*.py"):
            place = tmp_path / file.relative_to(ROOT)
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, place)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def test_the_contracts_hold() -> None:
    done = lint(ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "4 kept, 0 broken" in done.stdout


def test_the_contracts_cover_every_plugin() -> None:
    settings = PROJECT["tool"]["importlinter"]
    assert sorted(settings["root_packages"]) == ["lenskit", *PLUGINS]
    plugins, core, _, circles = settings["contracts"]
    assert sorted(plugins["source_modules"]) == PLUGINS
    assert sorted(core["forbidden_modules"]) == PLUGINS
    assert sorted(circles["ancestors"]) == sorted(settings["root_packages"])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("file", "line", "broken"),
    [
        ("plugins/lenskit_siamese/bad.py", "from lenskit.run import Run", "Bundled plugins import the facades"),
        ("plugins/lenskit_siamese/bad.py", "import lenskit", "Bundled plugins import the facades"),
        ("plugins/lenskit_siamese/bad.py", "def f():\n    import lenskit.config", "Bundled plugins import the facades"),
        ("lenskit/kinds/bad.py", "from lenskit_siamese.simsiam import SimSiam", "The core imports no plugin"),
        ("lenskit/cli/bad.py", "def f():\n    import lenskit_lensing", "The core imports no plugin"),
        ("lenskit/kinds/bad.py", "def f():\n    from lenskit.run import Run", "The core has layers"),
        ("lenskit/training/bad.py", "from lenskit import Run", "The core has layers"),
        ("lenskit/cli/bad.py", "from lenskit.evaluation import Run", "The core has layers"),
        ("lenskit/bad.py", "import os", "The core has layers"),
        ("lenskit/embeddings/stored.py", "def f():\n    import lenskit.embeddings.files", "No package has circles"),
        ("plugins/lenskit_siamese/augment.py", "from lenskit_siamese import transforms", "No package has circles"),
    ],
)
def test_what_breaks_a_contract_is_noticed(file: str, line: str, broken: str, copy: Path) -> None:
    (copy / file).write_text(f"{line}\n")
    done = lint(copy)
    assert done.returncode == 1
    assert f"{broken}" in done.stdout.split("Broken contracts")[1]


@pytest.mark.slow
def test_a_plugin_may_build_on_lenskit_plugin_and_on_another_plugin(copy: Path) -> None:
    (copy / "plugins/lenskit_siamese/good.py").write_text("import lenskit_lensing\nfrom lenskit.plugin import Method\n")
    assert lint(copy).returncode == 0
