"""Check of an installed plugin."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lenskit.errors import UsageError
from lenskit.registry import registry
from lenskit.testing.check import Outcome, check_component, find_distribution, template_changes
from tests.lenskit.conftest import Install

HOOKS = """
@hookimpl
def lenskit_backbones():
    return [
        Component("needy", "acme_parts:Needy", "It needs an option"),
        Component("many", "acme_parts:Named", "It stands for many", argument="model"),
        Component("wide", "acme_parts:Wide", "Its width has a lower bound"),
        Component("failing", "acme_parts:Failing", "It fails"),
        Component("absent", "acme_parts:Absent", "It does not exist"),
    ]


@hookimpl
def lenskit_datasets():
    return [Component("pile", "acme_parts:Pile", "Images without an example")]
"""

PARTS = """
from typing import Annotated

from annotated_types import Ge
from torch import nn

from lenskit.plugin import Backbone, Dataset


class Wide(Backbone):
    '''Linear layer.

    Args:
        width: Length of the feature vector.
    '''

    def __init__(self, channels, size, *, width: Annotated[int, Ge(64)] = 64):
        super().__init__(channels, size)
        self.features = width
        self.layer = nn.Linear(channels * size * size, width)

    def forward(self, images):
        return self.layer(images.flatten(1))


class Needy(Wide):
    '''Linear layer of a given depth.

    Args:
        depth: Number of layers.
    '''

    def __init__(self, channels, size, *, depth: int):
        super().__init__(channels, size)


class Named(Wide):
    '''Linear layer of a name.

    Args:
        model: Name.
    '''

    def __init__(self, channels, size, *, model: str):
        super().__init__(channels, size)


class Failing(Wide):
    '''Linear layer that fails.'''

    def forward(self, images):
        raise KeyError("weights")


class Pile(Dataset):
    '''Images.'''

    image_shape = (1, 8, 8)
    names = ()

    def __init__(self, path):
        pass

    def read(self, index):
        raise NotImplementedError
"""


@pytest.fixture
def acme(install: Install, tmp_path: Path) -> Path:
    """Install a plugin, and return its dist-info folder."""
    install("acme", HOOKS, acme_parts=PARTS)
    return tmp_path / "site-packages" / "lenskit_ssl_acme-1.0.dist-info"


def outcomes(kind: str, name: str) -> list[Outcome]:
    return [*check_component(registry().find(kind, name))]


@pytest.mark.parametrize("text", ["lenskit-ssl-acme", "Lenskit_SSL.acme", "acme", "acme_hooks", "acme_hooks.other"])
def test_a_distribution_is_found(acme: Path, text: str) -> None:
    assert find_distribution(text) == "lenskit-ssl-acme"


def test_an_unknown_distribution_is_an_error(acme: Path) -> None:
    with pytest.raises(UsageError, match=r"no installed plugin is called 'acne' \(there are .*lenskit-ssl-acme"):
        find_distribution("acne")


def test_a_component_with_required_options_is_skipped(acme: Path) -> None:
    (outcome,) = outcomes("backbone", "needy")
    assert (outcome.subject, outcome.fault) == ("backbone 'needy'", "")
    assert outcome.skipped == "it needs options (depth): test it with a test class"


def test_a_component_with_an_argument_is_skipped(acme: Path) -> None:
    (outcome,) = outcomes("backbone", "many:one")
    assert outcome.skipped == "it needs an argument after a colon: test it with a test class"


def test_a_component_that_cannot_be_loaded_is_one_fault(acme: Path) -> None:
    (outcome,) = outcomes("backbone", "absent")
    assert "cannot be loaded from acme_parts:Absent" in outcome.fault


def test_a_small_value_that_an_option_refuses_is_not_used(acme: Path) -> None:
    assert not [outcome for outcome in outcomes("backbone", "wide") if outcome.fault]


def test_an_exception_is_a_fault_with_its_place(acme: Path) -> None:
    line = PARTS.splitlines().index('        raise KeyError("weights")') + 1
    faults = [outcome.fault for outcome in outcomes("backbone", "failing") if outcome.fault]
    assert f"KeyError: 'weights' (acme_parts, line {line})" in faults


def test_tests_of_data_are_skipped_without_an_example(acme: Path) -> None:
    skipped = [outcome for outcome in outcomes("dataset", "pile") if outcome.skipped]
    assert {outcome.skipped for outcome in skipped} == {"it needs data: write an example in a test class"}
    assert "undefined pixels are nan" in {outcome.test for outcome in skipped}


CHANGES = {2: "pyproject.toml: add a bound", 3: "tests: use PluginContract"}


@pytest.mark.parametrize(("template", "changes"), [("1", [2, 3]), ("2", [3]), ("3", []), (None, [])])
def test_changes_of_newer_templates_are_named(
    acme: Path, tmp_path: Path, template: str | None, changes: list[int]
) -> None:
    folder = tmp_path / "with a space"
    folder.mkdir()
    table = "" if template is None else f"[tool.lenskit]\ntemplate = {template}\n"
    (folder / "pyproject.toml").write_text(f"[project]\nname = 'lenskit-ssl-acme'\n{table}")
    (acme / "direct_url.json").write_text(json.dumps({"url": folder.as_uri(), "dir_info": {"editable": True}}))
    assert template_changes("lenskit-ssl-acme", CHANGES) == [CHANGES[version] for version in changes]


def test_a_plugin_that_is_not_editable_has_no_template(acme: Path) -> None:
    assert template_changes("lenskit-ssl-acme", CHANGES) == []
