"""`lenskit plugin check`."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from lenskit.registry import registry
from tests.lenskit.conftest import Install, Lenskit

HOOKS = """
@hookimpl
def lenskit_backbones():
    return [Component("plain", "NAME_parts:Plain", "A linear layer")]


@hookimpl
def lenskit_formats():
    return [Component("array", "NAME_parts:Array", "Images: one file")]


@hookimpl
def lenskit_commands():
    return [Component("greet", "NAME_parts:greet", "Greet the user")]
"""

PARTS = """
import click
import numpy as np
from torch import nn

from lenskit.plugin import Backbone, ImageFormat


class Plain(Backbone):
    '''Linear layer.'''

    features = 4

    def __init__(self, channels, size):
        super().__init__(channels, size)
        self.layer = nn.Linear(channels * size * size, 4)

    def forward(self, images):
        return self.layer(images.flatten(1))


class Array(ImageFormat):
    '''File of arrays.'''

    endings = (".array",)

    def write_images(self, rendering):
        with self.path.open("wb") as file:
            np.save(file, np.concatenate([part.images for part in rendering]))


@click.command()
def greet():
    '''Greet the user.'''
    click.echo("Hello")
"""


@pytest.fixture
def plugin(install: Install, tmp_path: Path) -> Install:
    """Return a function that installs a plugin of a name with a module of components."""

    def write(name: str, parts: str = PARTS) -> None:
        install(name, HOOKS.replace("NAME", name), **{f"{name}_parts": parts})
        with (tmp_path / "site-packages" / f"lenskit_ssl_{name}-1.0.dist-info" / "METADATA").open("a") as file:
            file.write("Requires-Dist: lenskit-ssl>=0.1,<0.3\n")

    return write


@pytest.mark.slow
def test_a_sound_plugin_passes(plugin: Install, lenskit: Lenskit) -> None:
    plugin("acme")
    outcome = lenskit("plugin", "check", "lenskit-ssl-acme")
    assert outcome.status == 0
    assert "FAULT" not in outcome.out
    assert re.search(r"^\d+ passed, \d+ skipped, 0 faults$", outcome.out, re.MULTILINE)


@pytest.mark.slow
def test_skipped_tests_are_grouped_by_reason(plugin: Install, lenskit: Lenskit) -> None:
    plugin("acme")
    lines = lenskit("plugin", "check", "acme").out.splitlines()
    assert "skipped  format 'array': 4 tests: it does not hold stores" in lines
    assert "skipped  command 'greet': 1 test: no arguments are given" in lines
    numbers = [int(match[1]) for line in lines if (match := re.match(r"skipped .*: (\d+) tests?: ", line))]
    assert f" {sum(numbers)} skipped" in lines[-1]


@pytest.mark.slow
def test_a_fault_is_one_line_with_its_place(plugin: Install, lenskit: Lenskit) -> None:
    plugin("acme", PARTS.replace("return self.layer(images.flatten(1))", "return 0 * self.layer(images.flatten(1))"))
    outcome = lenskit("plugin", "check", "acme")
    faults = [line for line in outcome.out.replace("\n    ", " ").splitlines() if line.startswith("FAULT")]
    line = PARTS.splitlines().index("    def forward(self, images):") + 1
    assert outcome.status == 1
    assert len(faults) == 1
    assert faults[0].startswith("FAULT  backbone 'plain': features differ between images: backbone 'plain' of lenskit-")
    assert faults[0].endswith(f"(acme_parts.py, line {line})")
    assert outcome.out.endswith(", 1 fault\n")


@pytest.mark.slow
def test_an_exception_does_not_stop_the_check(plugin: Install, lenskit: Lenskit) -> None:
    plugin("acme", PARTS.replace("return self.layer(images.flatten(1))", 'raise KeyError("weights")'))
    outcome = lenskit("plugin", "check", "acme")
    assert outcome.status == 1
    assert outcome.err == ""
    assert "KeyError: 'weights' (acme_parts, line " in " ".join(outcome.out.split())
    assert "command 'greet'" in outcome.out


@pytest.mark.slow
def test_verbose_lists_the_tests_that_passed(plugin: Install, lenskit: Lenskit) -> None:
    plugin("acme")
    lines = lenskit("plugin", "check", "acme", "--verbose").out.splitlines()
    passed = [line for line in lines if re.fullmatch(r"ok  .* \(\d+\.\d s\)", line)]
    assert any(line.startswith("ok  backbone 'plain': weights can be reloaded") for line in passed)
    assert lines[-1].startswith(f"{len(passed)} passed, ")


@pytest.mark.slow
def test_all_plugins_of_third_parties_are_checked(
    plugin: Install, lenskit: Lenskit, monkeypatch: pytest.MonkeyPatch
) -> None:
    plugin("acme")
    plugin("other", PARTS.replace("'''Linear layer.'''", ""))
    monkeypatch.setenv("LENSKIT_PLUGINS", "acme,other")
    registry.cache_clear()
    outcome = lenskit("plugin", "check", "-v")
    assert outcome.status == 1
    assert "plugin lenskit-ssl-acme: hooks print nothing" in outcome.out
    assert "backbone 'plain' of lenskit-ssl-other 1.0 has no docstring" in " ".join(outcome.out.split())
    assert "backbone 'plain' of lenskit-ssl-acme" not in outcome.out


def test_an_unknown_plugin_is_an_error(lenskit: Lenskit) -> None:
    assert lenskit("plugin", "check", "acme").complaint().startswith("no installed plugin is called 'acme' (there are ")


def test_no_plugin_of_a_third_party_is_an_error(
    plugin: Install, lenskit: Lenskit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LENSKIT_PLUGINS", "lensing")
    registry.cache_clear()  # the fixture `plugin` clears it again
    complaint = lenskit("plugin", "check").complaint()
    assert complaint.startswith("no plugin of a third party is installed: type lenskit plugin check")
