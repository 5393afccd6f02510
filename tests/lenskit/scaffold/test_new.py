"""Plugins from templates: files, wheel and components."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import click
import pytest
import yaml
from click.testing import CliRunner

from lenskit.cli.main import cli
from lenskit.cli.plugin import command
from lenskit.component import KINDS
from lenskit.errors import UsageError
from lenskit.scaffold.new import TEMPLATE, new_plugin
from lenskit.version import __version__
from tests.docs.plain_english import breaches, docstrings

ALL = [*KINDS]


@pytest.mark.parametrize("kind", ALL)
def test_a_plugin_has_a_component_tests_and_all_that_a_project_needs(kind: str, tmp_path: Path) -> None:
    folder = new_plugin("rings", [kind], tmp_path / "rings")
    files = {str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file()}
    assert files >= {
        "pyproject.toml", "README.md", "LICENSE", ".gitignore", ".github/workflows/test.yml",
        "lenskit_ssl_rings/__init__.py", "lenskit_ssl_rings/hooks.py", "tests/test_plugin.py", f"tests/test_{kind}.py",
    }  # fmt: skip
    project = tomllib.loads((folder / "pyproject.toml").read_text())
    assert project["project"]["name"] == "lenskit-ssl-rings"
    assert project["project"]["entry-points"]["lenskit.plugins"] == {"rings": "lenskit_ssl_rings.hooks"}
    assert project["tool"]["lenskit"] == {"template": TEMPLATE, "kinds": [kind]}
    assert f"lenskit_{KINDS[kind]}" in (folder / "lenskit_ssl_rings" / "hooks.py").read_text()
    assert "`rings`" in (folder / "README.md").read_text()


def test_the_workflow_tests_the_plugin_with_each_version_of_python(tmp_path: Path) -> None:
    folder = new_plugin("rings", ["pairs"], tmp_path / "rings")
    (job,) = yaml.safe_load((folder / ".github" / "workflows" / "test.yml").read_text())["jobs"].values()
    assert {"python-version": "${{ matrix.python }}"} in [step.get("with") for step in job["steps"]]
    assert {"run": "lenskit plugin check lenskit-ssl-rings"} in job["steps"]


def test_the_printed_commands_name_the_folder_and_the_distribution(tmp_path: Path) -> None:
    done = CliRunner().invoke(command, ["new", "rings", "--kind", "pairs", "--folder", "my-folder"])
    assert "    cd my-folder\n" in done.stdout
    assert "    lenskit plugin check lenskit-ssl-rings\n" in done.stdout


@pytest.mark.parametrize("kind", ALL)
def test_the_commands_in_the_readme_exist(kind: str, tmp_path: Path) -> None:
    readme = (new_plugin("rings", [kind], tmp_path / "rings") / "README.md").read_text()
    for line in re.findall(r"^lenskit (.*)$", readme, re.MULTILINE):
        words, group = line.split(), cli
        while isinstance(group, click.Group) and words[0] != "rings":
            found = group.get_command(click.Context(group), words.pop(0))
            assert found is not None, line
            group = found


def test_the_bound_of_the_version_is_the_second_minor_release_after_this_one(tmp_path: Path) -> None:
    project = tomllib.loads((new_plugin("rings", ["pairs"], tmp_path / "rings") / "pyproject.toml").read_text())
    major, minor, _ = __version__.split(".")
    assert project["project"]["dependencies"] == [f"lenskit-ssl>={major}.{minor},<{major}.{int(minor) + 2}"]


def test_the_default_folder_is_the_distribution() -> None:
    assert new_plugin("rings", ["recipe"]) == Path("lenskit-ssl-rings")
    with pytest.raises(UsageError, match="lenskit-ssl-rings exists: choose a different --folder"):
        new_plugin("rings", ["recipe"])


def test_an_empty_folder_is_used(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert (new_plugin("rings", ["recipe"], tmp_path / "empty") / "pyproject.toml").is_file()
    assert [file.name for file in tmp_path.iterdir()] == ["empty"]


@pytest.mark.parametrize(
    ("name", "kind", "fault"),
    [
        ("Rings", "pairs", "lower-case letters"),
        ("3d", "pairs", "begin with a letter"),
        ("../rings", "pairs", "lower-case letters"),
        ("my.pairs", "pairs", "a name of pairs must not contain a dot"),
        ("train", "command", "lenskit has a verb of this name"),
    ],
)
def test_a_wrong_name_writes_nothing(name: str, kind: str, fault: str) -> None:
    with pytest.raises(UsageError, match=f"a plugin cannot be called .*: .*{fault}"):
        new_plugin(name, [kind])
    assert not [*Path().iterdir()]


def test_python_files_are_in_plain_english_with_short_lines(tmp_path: Path) -> None:
    folder = new_plugin("every", ALL, tmp_path / "every")
    for file in folder.rglob("*.py"):
        assert max(map(len, file.read_text().splitlines())) <= 120, file
        found = [breach for text in docstrings(file, ast.parse(file.read_text())) for breach in breaches(text)]
        assert not found, file


LOOK = """
import json, sys
from lenskit.registry import registry
ours = [r for r in registry().records if r.plugin.distribution == "lenskit-ssl-every"]
for record in ours:
    record.load()
refused = [str(refusal) for plugin in registry().plugins for refusal in plugin.refused]
print(json.dumps({"kinds": sorted(r.kind for r in ours), "refused": refused}))
"""


@pytest.mark.slow
def test_the_wheel_of_all_kinds_installs_lists_passes_its_tests_and_uninstalls(tmp_path: Path) -> None:
    """The tests of the plugin run each component, in an environment that sees lenskit."""
    folder, site = new_plugin("every", ALL, tmp_path / "every"), tmp_path / "site"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(site), *filter(None, sys.path)])}

    def run(*command: object, cwd: Path = tmp_path) -> str:
        done = subprocess.run(
            [sys.executable, *map(str, command)], cwd=cwd, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    run("-m", "build", "--wheel", "--no-isolation", "--outdir", tmp_path / "dist", folder)
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    run("-m", "pip", "install", "-q", "--no-deps", "--no-index", "--target", site, wheel)
    found = json.loads(run("-c", LOOK).splitlines()[-1])
    assert found == {"kinds": sorted(KINDS), "refused": []}
    assert "every-simulator" in run("-m", "lenskit.cli", "list", "simulators")
    assert "every" in run("-m", "lenskit.cli", "plugins")
    # The frozen plugin is also trained in two processes.
    options = ("-q", "-p", "no:cacheprovider", "--import-mode=importlib", "-k", "not two_processes")
    out = run("-m", "pytest", *options, "tests", cwd=folder)
    assert "passed" in out
    assert "failed" not in out
    for entry in site.iterdir():
        entry.rename(tmp_path / f"removed-{entry.name}")
    assert json.loads(run("-c", LOOK).splitlines()[-1])["kinds"] == []
