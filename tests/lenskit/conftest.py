"""Fixtures of the core: plugins for one test, and the command line in-process."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from lenskit.cli.main import run
from lenskit.registry import registry

Install = Callable[..., None]
Lenskit = Callable[..., "Outcome"]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Install a distribution for this test and the processes that it starts.

    `install("acme", hooks, version="1.0")` writes the module of hooks `acme_hooks` and a dist-info folder that names it
    as the plugin `acme` of the distribution `lenskit-ssl-acme`; further arguments are further files.
    """
    site = tmp_path / "site-packages"
    site.mkdir()
    monkeypatch.syspath_prepend(site)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(site), os.environ["PYTHONPATH"]]))

    def write(name: str, hooks: str, version: str = "1.0", **files: str) -> None:
        info = site / f"lenskit_ssl_{name}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: lenskit-ssl-{name}\nVersion: {version}\n")
        (info / "entry_points.txt").write_text(f"[lenskit.plugins]\n{name} = {name}_hooks\n")
        (site / f"{name}_hooks.py").write_text(f"from lenskit.plugin import Component, hookimpl\n\n{hooks}")
        for stem, text in files.items():
            (site / f"{stem}.py").write_text(text)
        registry.cache_clear()

    yield write
    registry.cache_clear()
    for module in [m for m, loaded in sys.modules.items() if str(site) in (getattr(loaded, "__file__", None) or "")]:
        del sys.modules[module]


@dataclass
class Outcome:
    """Result of a command line."""

    status: int
    out: str
    err: str

    def complaint(self, status: int = 2) -> str:
        """The one line of a failure, after checking that there is nothing else."""
        assert (self.status, self.out) == (status, ""), self
        assert self.err.startswith("lenskit: "), self.err
        assert self.err.count("\n") == 1, self.err
        return self.err.removeprefix("lenskit: ").rstrip("\n")


@pytest.fixture
def lenskit(capsys: pytest.CaptureFixture[str]) -> Lenskit:
    """Run a command line in this process: `lenskit("list", "methods")`."""

    def call(*arguments: object) -> Outcome:
        capsys.readouterr()
        status = run([str(argument) for argument in arguments])
        return Outcome(status, *capsys.readouterr())

    return call
