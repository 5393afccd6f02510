"""Contract of plugins: a distribution that loads fast, quietly and completely."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from importlib import metadata, resources
from pathlib import Path
from typing import Any, ClassVar, NamedTuple
from unittest import SkipTest

from lenskit.component import FILES
from lenskit.discovery import GROUP
from lenskit.errors import LenskitError
from lenskit.found import Plugin, Record
from lenskit.naming import is_same_distribution
from lenskit.registry import registry
from lenskit.testing.contract import Breach

HEAVY = ("torch", "pytorch_lightning", "scipy", "matplotlib", "astropy", "pandas", "sklearn", "timm", "lenstronomy")
"""Packages that are slow to import, and that hooks must not import."""

SECONDS = 0.3
"""Longest time of the import of the hooks, in a new process."""

LENSKIT = re.compile(r"lenskit[-_.]+ssl(?:\s*\[[^]]*\])?\s*(?![-_.\w])([^;]*)", re.IGNORECASE)
"""Requirement of lenskit, and its bounds."""

TRIES = 3
"""Measurements of a slow import, because a busy machine is slow."""

MEASURE = """
import contextlib, importlib, io, json, sys, time
import lenskit.plugin
before, printed = set(sys.modules), io.StringIO()
start = time.perf_counter()
with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
    for name in sys.argv[1:]:
        importlib.import_module(name)
seconds = time.perf_counter() - start
print(json.dumps({"seconds": seconds, "modules": sorted(set(sys.modules) - before), "printed": printed.getvalue()}))
"""


class Import(NamedTuple):
    """Duration, new modules and printed text of an import in a new process."""

    seconds: float
    modules: list[str]
    printed: str


class PluginContract:
    """Tests of a distribution.

    ```python
    class TestPlugin(PluginContract):
        distribution = "lenskit-ssl-rings"
    ```
    """

    distribution: ClassVar[str] = ""
    """Name of the distribution, as in its `pyproject.toml`."""

    def test_it_is_installed_with_an_entry_point(self) -> None:
        self._require(
            self._plugins,
            'is not installed, or has no entry point: add [project.entry-points."lenskit.plugins"] to pyproject.toml '
            "and type pip install -e .",
        )

    def test_all_components_are_accepted(self) -> None:
        """No hook and no component is left out, and the interface version is this one's."""
        for plugin in self._plugins:
            self._require(not plugin.error, f"cannot be loaded: {plugin.error}")
            self._require(not plugin.refused, "; ".join(map(str, plugin.refused)))
        self._require(self.records(), "has no component: return some in a hook")

    def test_all_components_can_be_loaded(self) -> None:
        for record in self.records():
            if record.kind == "encoder" and "://" in record.component.target:
                continue  # its files are downloaded
            try:
                record.load()
            except LenskitError as error:
                raise Breach(f"{self.distribution}: {error}") from error

    def test_hooks_import_nothing_heavy(self) -> None:
        heavy = sorted({name.partition(".")[0] for name in self.imported().modules} & {*HEAVY})
        self._require(
            not heavy, f"imports {', '.join(heavy)} with its hooks: name classes by import string, and import packages "
            "in the modules of components"
        )  # fmt: skip

    def test_hooks_are_imported_fast(self) -> None:
        seconds = self.imported().seconds
        self._require(seconds < SECONDS, f"takes {seconds:.2f} s to import its hooks: import less there")

    def test_hooks_print_nothing(self) -> None:
        printed = " ".join(self.imported().printed.split())
        self._require(not printed, f"prints at import: {printed[:200]!r}. Remove it")

    def test_names_are_those_of_no_bundled_component(self) -> None:
        bundled = {(record.kind, record.name) for record in registry().records if record.is_bundled}
        for record in self.records():
            self._require(
                record.is_bundled or (record.kind, record.name) not in bundled,
                f"has a {record.kind} {record.name!r}, like lenskit: choose another name, since users must type "
                f"{record.qualified}",
            )

    def test_data_files_are_in_the_wheel(self) -> None:
        """Recipes, instruments and encoders are files, which a wheel may lack."""
        targets = [r.component.target for r in self.records() if r.kind in (*FILES, "encoder")]
        targets = [target for target in targets if "://" not in target]
        if not targets:
            raise SkipTest("it has no data files")
        listed = self._files()
        for target in targets:
            package, _, path = target.partition(":")
            there = resources.files(package) / path
            self._require(there.is_file() or there.is_dir(), f"lacks {target}")
            name = f"{package.replace('.', '/')}/{path}"
            self._require(
                listed is None or any(file == name or file.startswith(f"{name}/") for file in listed),
                f"lacks {name} in its wheel: use hatchling, or list the file as package data",
            )

    def test_lenskit_is_required_with_a_bound(self) -> None:
        """An update of lenskit must not install a version that the plugin does not fit."""
        if is_same_distribution(self.distribution, "lenskit-ssl"):
            raise SkipTest("it is lenskit itself")
        needed = metadata.distribution(self.distribution).requires or []
        bounds = [match[1] for each in needed if (match := LENSKIT.match(each))]
        self._require(bounds, 'does not require lenskit: add "lenskit-ssl>=X,<Y" to its dependencies')
        both = any(re.search(r"~=|==", bound) or (">" in bound and "<" in bound) for bound in bounds)
        self._require(
            both, f"requires lenskit-ssl{bounds[0]} without bounds: state lenskit-ssl>=X,<Y in its dependencies"
        )

    def records(self) -> list[Record]:
        """Return the accepted components of the distribution."""
        return [r for r in registry().records if is_same_distribution(r.plugin.distribution, self.distribution)]

    def imported(self) -> Import:
        """Import the modules of hooks in a new process."""
        return _import(tuple(sorted(point.value.partition(":")[0] for point in self._entry_points())))

    def _entry_points(self) -> Iterator[metadata.EntryPoint]:
        for point in metadata.entry_points(group=GROUP):
            if point.dist and is_same_distribution(point.dist.name, self.distribution):
                yield point

    @property
    def _plugins(self) -> list[Plugin]:
        return [p for p in registry().plugins if is_same_distribution(p.distribution, self.distribution)]

    def _files(self) -> set[str] | None:
        """Return the installed files; None for an editable installation."""
        distribution = metadata.distribution(self.distribution)
        if _is_editable(distribution) or not distribution.files:
            return None
        return {str(file) for file in distribution.files}

    def _require(self, holds: Any, fault: str) -> None:
        if not holds:
            raise Breach(f"plugin {self.distribution} {fault}")


def _is_editable(distribution: metadata.Distribution) -> bool:
    origin = json.loads(distribution.read_text("direct_url.json") or "{}")
    return bool(origin.get("dir_info", {}).get("editable"))


@cache
def _import(modules: tuple[str, ...]) -> Import:
    """Import modules in a new process.

    The first import may compile them. So a slow import is repeated, and the fastest is returned.
    """
    paths = os.pathsep.join(path for path in sys.path if path and Path(path).exists())
    command = [sys.executable, "-c", MEASURE, *modules]
    found: list[Import] = []
    while len(found) < TRIES and (not found or found[-1].seconds > SECONDS):
        done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": paths})
        if done.returncode:
            raise Breach(f"{', '.join(modules)} cannot be imported: {done.stderr.strip().splitlines()[-1]}")
        found.append(Import(**json.loads(done.stdout.splitlines()[-1])))
    return min(found)
