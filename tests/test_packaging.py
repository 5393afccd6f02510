"""Wheel and dependencies: completeness, and use without the source tree."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from importlib import metadata
from itertools import chain
from pathlib import Path
from typing import Any

import pytest

from lenskit import __version__
from lenskit.registry import registry

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PLUGINS = sorted(folder for folder in (ROOT / "plugins").iterdir() if (folder / "__init__.py").is_file())


def test_every_dependency_has_a_floor() -> None:
    """`make test-lowest` installs these versions; without them pip may choose any."""
    extras = PROJECT["project"]["optional-dependencies"].values()
    wanted = [*PROJECT["build-system"]["requires"], *PROJECT["project"]["dependencies"], *chain(*extras)]
    own = PROJECT["project"]["name"]
    assert [each for each in wanted if ">=" not in each and not each.startswith(own)] == []


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the wheel, which is built from the sdist of the source tree."""
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    (path,) = folder.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the installed wheel and nothing else."""
    folder = tmp_path_factory.mktemp("installed")
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-index", "--no-compile"]
    subprocess.run([*pip, "--target", str(folder), str(wheel)], check=True)
    return folder


LOOK = """
import json, pathlib
from contextlib import redirect_stdout
from io import StringIO
import lenskit
from lenskit.cli.main import run
from lenskit.registry import registry

def printed(*command):
    with redirect_stdout(StringIO()) as out:
        assert run(list(command)) == 0
    return out.getvalue()

listed = printed("list")
config = printed("train", "--recipe", "quickstart", "--print-config")
found = []
for record in registry().records:
    record.load()
    module = __import__(record.component.target.partition(":")[0].partition(".")[0])
    found.append([record.kind, record.title, str(pathlib.Path(module.__file__).parent.parent)])
errors = [p.error for p in registry().plugins]
print(json.dumps({"lenskit": lenskit.__file__, "found": found, "errors": errors, "listed": listed, "config": config}))
"""


@pytest.fixture(scope="module")
def seen(installed: Path) -> dict[str, Any]:
    """Return the output of `LOOK` in a process with the wheel and no source tree."""
    # An editable installation puts the source tree on the path. A virtual environment inside the tree must stay there.
    tree = [str(ROOT), str(ROOT / "plugins")]
    isolate = f"import sys\nsys.path[:] = [{str(installed)!r}, *(p for p in sys.path if p not in {tree!r})]\n"
    # An isolated process ignores the environment variable of the bytecode folder, and would compile all of torch again.
    kept = ["-X", f"pycache_prefix={sys.pycache_prefix}"] if sys.pycache_prefix else []
    done = subprocess.run([sys.executable, "-I", *kept, "-c", isolate + LOOK], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def sources() -> dict[str, bytes]:
    """Return the content of every file of the packages by its path in the wheel."""
    files = [*(ROOT / "lenskit").rglob("*"), *(file for plugin in PLUGINS for file in plugin.rglob("*"))]
    kept = (file for file in files if file.is_file() and "__pycache__" not in file.parts)
    return {str(file.relative_to(ROOT)).removeprefix("plugins/"): file.read_bytes() for file in kept}


@pytest.mark.slow
def test_the_wheel_carries_every_file_of_every_package(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        carried = {name: archive.read(name) for name in archive.namelist() if ".dist-info/" not in name}
    expected = sources()
    assert carried.keys() == expected.keys()
    assert [name for name in expected if carried[name] != expected[name]] == []
    assert {Path(name).suffix for name in carried} >= {".py", ".toml", ".npz", ".json"}


@pytest.mark.slow
def test_the_wheel_says_what_it_is(wheel: Path) -> None:
    assert wheel.name == f"lenskit_ssl-{__version__}-py3-none-any.whl"
    with zipfile.ZipFile(wheel) as archive:
        info = f"lenskit_ssl-{__version__}.dist-info"
        headers = archive.read(f"{info}/METADATA").decode()
        assert "\nLicense-Expression: MIT\n" in headers
        assert f"{info}/licenses/LICENSE" in archive.namelist()
        points = archive.read(f"{info}/entry_points.txt").decode()
    assert "[console_scripts]\nlenskit = lenskit.cli.main:main\n" in points
    assert re.findall(r"^(\w+) = lenskit_\1\.hooks$", points, re.MULTILINE) == [
        plugin.name.removeprefix("lenskit_") for plugin in PLUGINS
    ]


@pytest.mark.slow
def test_installed_without_the_source_tree_it_finds_and_loads_every_component(installed: Path, seen) -> None:
    assert seen["lenskit"] == str(installed / "lenskit" / "__init__.py")
    assert set(seen["errors"]) == {None}
    ours = {(r.kind, r.title) for r in registry().records if r.plugin.distribution == "lenskit-ssl"}
    assert {(kind, title) for kind, title, _ in seen["found"]} == ours
    assert {folder for *_, folder in seen["found"]} == {str(installed)}


@pytest.mark.slow
def test_installed_without_the_source_tree_it_lists_and_resolves(seen) -> None:
    listed = {line.split()[0] for line in seen["listed"].splitlines()}
    assert {"hst", "simsiam", "lens-fixed", "timm:MODEL", "probe"} <= listed
    assert tomllib.loads(seen["config"])["pairs"]["name"] == "lens-fixed"


def test_every_plugin_is_packaged_and_has_an_entry_point() -> None:
    packages = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    assert sorted(packages) == ["lenskit", *(f"plugins/{plugin.name}" for plugin in PLUGINS)]
    points = PROJECT["project"]["entry-points"]["lenskit.plugins"]
    names = {plugin.name.removeprefix("lenskit_"): f"{plugin.name}.hooks" for plugin in PLUGINS}
    assert points == names


def imported(*folders: str) -> Iterator[str]:
    """Yield the top-level packages that the modules of some folders import anywhere."""
    for folder in folders:
        for file in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text())):
                if isinstance(node, ast.Import):
                    yield from (alias.name.partition(".")[0] for alias in node.names)
                elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                    yield node.module.partition(".")[0]


def declared(requirements: list[str]) -> set[str]:
    return {re.split(r"[<>=!~;\[ ]", requirement)[0].lower().replace("_", "-") for requirement in requirements}


def needed(*folders: str) -> set[str]:
    """Return the distributions of other projects that some folders import."""
    owners = metadata.packages_distributions()
    programs = {file.stem for folder in ("examples", "tests/reliability") for file in (ROOT / folder).rglob("*.py")}
    ours = {"lenskit", "lenskit_toys", "tests", *(plugin.name for plugin in PLUGINS), *programs}
    names = set(imported(*folders)) - sys.stdlib_module_names - ours
    return {owners[name][0].lower().replace("_", "-") for name in names}


THROUGH_OTHERS = {"tensorboard", "wandb", "mlflow", "onnx", "onnxscript", "faiss-cpu"}
"""Optional packages that another package imports (loggers, ONNX), or that are imported by name."""

WITHOUT_IMPORT = {"dev", "docs", "notebook"}
"""Extras that no module imports: packages of the tests, and programs that run notebooks or build the site."""


@pytest.mark.slow
def test_every_dependency_that_is_imported_is_declared_and_the_other_way_round() -> None:
    extras = PROJECT["project"]["optional-dependencies"]
    optional = declared([name for extra in extras if extra not in WITHOUT_IMPORT for name in extras[extra]])
    assert optional >= THROUGH_OTHERS
    optional -= THROUGH_OTHERS
    assert needed("lenskit", "plugins") == declared(PROJECT["project"]["dependencies"]) | optional


@pytest.mark.slow
def test_so_is_every_dependency_of_the_tests() -> None:
    extras = PROJECT["project"]["optional-dependencies"]
    (own,) = (name for name in extras["dev"] if name.startswith("lenskit-ssl["))
    # The tests use neither the loggers of mlflow and wandb, nor Jupyter, nor MkDocs.
    unused = WITHOUT_IMPORT | {"mlflow", "wandb"}
    assert set(own.removeprefix("lenskit-ssl[").removesuffix("]").split(",")) == extras.keys() - unused
    dependencies = PROJECT["project"]["dependencies"] + [name for extra in extras.values() for name in extra]
    assert needed("tests") <= declared(dependencies)
