"""The rules of layers hold for every bundled recipe under every method."""

from __future__ import annotations

from typing import Any

import pytest

from lenskit.config import SETTINGS, Config
from lenskit.layers import COMPONENTS, read_recipe
from lenskit.registry import registry

BUNDLED = "lenskit-ssl"
RECIPES = [record.name for record in registry().of_kind("recipe") if record.plugin.distribution == BUNDLED]
METHODS = [record.name for record in registry().of_kind("method") if record.plugin.distribution == BUNDLED]
OVER: list[dict[str, dict[str, Any]]] = [{}, {"backbone": {"name": "resnet34"}}, {"pairs": {"name": "single+noise"}}]
"""Sections that a command line names besides a method."""


def method(name: str) -> Any:
    return registry().find("method", name).load()


def named(name: str) -> dict[str, dict[str, Any]]:
    return {"method": {"name": name}}


def check(start: Config, chosen: str, over: dict[str, dict[str, Any]], outcome: Config) -> None:
    """Check the configuration of one method under another method."""
    sections, before = outcome.sections, start.sections
    assert sections["method"] == Config.resolve(named(chosen)).sections["method"] or chosen == start.name("method")
    assert {section: sections[section]["name"] for section in over} == {s: v["name"] for s, v in over.items()}
    own, other = method(chosen).default_sections, method(start.name("method")).default_sections
    if chosen != start.name("method"):
        assert sections.get("optimizer") == Config.resolve(named(chosen)).sections.get("optimizer")
        for section, options in own.items():
            if section not in over:
                assert options.items() <= sections[section].items()
    for section in SETTINGS:
        gone = set() if chosen == start.name("method") else {*own.get(section, {}), *other.get(section, {})}
        kept = {name: value for name, value in before[section].items() if name not in gone}
        assert kept.items() <= sections[section].items()
    for section in before.keys() & COMPONENTS.keys() - {"method"} - over.keys():
        if (section not in own and section not in other) or chosen == start.name("method"):
            assert sections[section] == before[section]


@pytest.mark.slow
@pytest.mark.parametrize("recipe", RECIPES)
def test_a_recipe_and_the_run_toml_of_it_come_to_the_same(recipe: str) -> None:
    layer = read_recipe(recipe)
    start = Config.resolve(layer)
    for chosen in METHODS:
        for over in OVER:
            outcome = Config.resolve(layer, named(chosen) | over)
            assert Config.resolve(start.sections, named(chosen) | over) == outcome
            check(start, chosen, over, outcome)


@pytest.mark.slow
@pytest.mark.parametrize("replaced", METHODS)
def test_a_method_leaves_nothing_behind_that_is_its_own(replaced: str) -> None:
    start = Config.resolve(named(replaced))
    for chosen in METHODS:
        for over in OVER:
            outcome = Config.resolve(start.sections, named(chosen) | over)
            assert outcome == Config.resolve(named(chosen), over)
            check(start, chosen, over, outcome)
        assert Config.resolve(outcome.sections) == outcome


def test_there_are_as_many_as_the_rules_were_tried_on() -> None:
    assert len(OVER) * len(METHODS) * (2 * len(RECIPES) + len(METHODS)) >= 1904
