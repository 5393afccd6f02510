"""Evaluations as verbs: options become flags."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lenskit.config import Config
from lenskit.layers import read_recipe

DEFAULTS = {"count": 3, "width": None, "style": "plain", "columns": [], "figure": True, "pair_size": 2}


@pytest.fixture
def untrained() -> Path:
    """Return a run directory that has only a configuration."""
    folder = Path("run")
    folder.mkdir()
    (folder / "run.toml").write_text(Config.resolve(read_recipe("toys")).to_toml())
    return folder


@pytest.mark.parametrize(
    ("flags", "options"),
    [
        (["--output", "a"], {"output": "a"}),
        (["-o", "a", "--count", "5"], {"output": "a", "count": 5}),
        (["-o", "a", "--width", "2.5"], {"output": "a", "width": 2.5}),
        (["-o", "a", "--style", "bold"], {"output": "a", "style": "bold"}),
        (["-o", "a", "--columns", "x", "--columns", "y"], {"output": "a", "columns": ["x", "y"]}),
        (["-o", "a", "--no-figure"], {"output": "a", "figure": False}),
        (["-o", "a", "--figure"], {"output": "a", "figure": True}),
        (["-o", "a", "--pair-size", "4"], {"output": "a", "pair_size": 4}),
    ],
)
def test_flags_set_options(
    flags: list[str], options: dict[str, Any], untrained: Path, lenskit: Callable[..., Any]
) -> None:
    outcome = lenskit("note", untrained, "one.fits", "two.fits", *flags)
    assert (outcome.status, outcome.err) == (0, "")
    assert json.loads(outcome.out) == {"runs": ["run"], "inputs": ["one.fits", "two.fits"], **DEFAULTS, **options}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere", "a", "-o", "b"], "there is no run directory nowhere"),
        ([".", "a", "-o", "b"], ". is no run directory: it has no run.toml"),
        (["run", "-o", "b"], "Missing argument 'IMAGES...'"),
        (["run", "a"], "Missing option '-o' / '--output'."),
        (["run", "a", "-o", "b", "--cuont", "3"], ("No such option '--cuont'", "No such option: --cuont")),
        (["run", "a", "-o", "b", "--count", "0"], "evaluation 'note': option count takes int >= 1, got '0'"),
        (
            ["run", "a", "-o", "b", "--style", "big"],
            "evaluation 'note': option style takes 'plain' or 'bold', got 'big'",
        ),
        (["run", "missing", "-o", "b"], "there is no image missing"),
    ],
)
def test_wrong_usage_is_one_line(
    arguments: list[str], message: str | tuple[str, str], untrained: Path, lenskit: Callable[..., Any]
) -> None:
    assert lenskit("note", *arguments).complaint(status=2).startswith(message)


def test_a_run_whose_configuration_is_damaged(untrained: Path, lenskit: Callable[..., Any]) -> None:
    (untrained / "run.toml").write_text("[train")
    assert "run.toml is no valid TOML" in lenskit("note", untrained, "a", "-o", "b").complaint()


def test_help_names_the_options_what_they_mean_and_their_defaults(lenskit: Callable[..., Any]) -> None:
    text = " ".join(lenskit("note", "--help").out.split())
    assert text.startswith("Usage: lenskit note [OPTIONS] RUN IMAGES... Print the arguments as JSON.")
    assert "-o, --output STR File to name. [required] --count" in text
    assert "--count INT >= 1 Number of lenses. [default: 3]" in text
    assert "--figure / --no-figure Whether to draw a figure. [default: True]" in text
    assert "--width FLOAT Width in pixels, with a text" in text
    assert "--style 'plain' or 'bold' Style of the font. [default: plain]" in text
    assert "--columns STR Column to print; may be given more than once. --figure" in text


@pytest.mark.parametrize("verb", ["embed", "probe", "predict"])
def test_bundled_evaluations_explain_themselves(verb: str, lenskit: Callable[..., Any]) -> None:
    outcome = lenskit(verb, "--help")
    assert (outcome.status, outcome.err) == (0, "")
    assert "RUN" in outcome.out.splitlines()[0]
