"""Verb `lenskit benchmark`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lenskit.cli.benchmark import command
from lenskit.cli.train import command as train

TOYS = ("benchmark", "--recipe", "toys", "--accelerator", "cpu", "--batches", 2)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_takes_the_flags_of_train() -> None:
    own, theirs = ({flag for parameter in each.params for flag in parameter.opts} for each in (command, train))
    assert theirs - own == {"--out", "--resume", "--overwrite", "--print-config"}
    assert own - theirs == {"--batches", "--bare", "--json"}


def test_shows_a_table(lenskit: Callable[..., Any], folder: Path) -> None:
    outcome = lenskit(*TOYS, "--batch-size", 4)
    assert outcome.status == 0, outcome
    assert "blobs@lenskit-ssl-toys, default, restless@lenskit-ssl-toys, tiny@lenskit-ssl-toys: 4" in " ".join(
        outcome.out.split()
    )
    assert "4 pairs a batch" in outcome.out
    shares = [line for line in outcome.out.splitlines() if line.endswith("%")]
    assert sum(float(line.split()[-1].rstrip("%")) for line in shares) == pytest.approx(100, abs=0.6)
    assert "pairs/s" in outcome.out
    assert not list(folder.iterdir())


@pytest.mark.slow
def test_prints_json(lenskit: Callable[..., Any]) -> None:
    outcome = lenskit(*TOYS, "--json", "--bare", "--batch-size", 4)
    assert outcome.status == 0, outcome
    figures = json.loads(outcome.out)
    assert (
        figures["configuration"] | {"method": "restless@lenskit-ssl-toys", "batch_size": 4} == figures["configuration"]
    )
    assert figures["batches"] == 6
    assert sum(stage["share"] for stage in figures["stages"].values()) == pytest.approx(1)
    for spread in (figures["pairs_per_second"], figures["times_a_bare_loop"], figures["stages"]["forward"]["seconds"]):
        assert 0 < spread["low"] <= spread["median"] <= spread["high"]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--batches", "1"], "1 batches have no spread: use --batches 2 or more"),
        (["--recipe", "nothing"], "nothing"),
        (
            ["--method", "two-optimizers", "--bare"],
            "method 'two-optimizers@lenskit-ssl-toys' steps its optimisers itself",
        ),
    ],
)
def test_bad_input_is_one_line(lenskit: Callable[..., Any], arguments: list[str], complaint: str) -> None:
    assert complaint in lenskit(*TOYS, *arguments).complaint()
