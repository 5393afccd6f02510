"""Verb `lenskit runs`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lenskit.config import Config
from lenskit.run import Run


def make(path: Path, lines: list[dict[str, float]], **sections: Any) -> Run:
    """Create a run directory with the state at the start of training and some metrics."""
    run = Run.create(path, Config.resolve({"simulator": {"name": "blobs"}, "backbone": {"name": "tiny"}}, sections))
    (path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return run


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    folder = tmp_path / "runs"
    lines = [{"batches": n, "loss": 1 / n, "rate": 10.0 * n} for n in (1, 2, 3)]
    make(folder / "a", [*lines, {"batches": 3, "probe": 0.25}])
    make(folder / "b", lines[:2], train={"seed": 3})
    return folder


def test_prints_a_table(lenskit: Callable[..., Any], runs: Path) -> None:
    outcome = lenskit("runs")
    assert (outcome.status, outcome.err) == (0, "")
    head, a, b = (line.split() for line in outcome.out.splitlines() if line.strip(" ─"))
    assert head == ["run", "state", "batches", "best", "probe", "pairs/s", "method", "pairs", "recipe"]
    assert a == ["runs/a", "stopped", "3", "0.25", "20", "simsiam", "lens-fixed", "-"]
    assert b == ["runs/b", "stopped", "2", "-", "15", "simsiam", "lens-fixed", "-"]
    assert lenskit("runs", "runs").out == outcome.out
    assert lenskit("runs", "runs/a", "runs/b").out == outcome.out


def test_prints_json(lenskit: Callable[..., Any], runs: Path) -> None:
    found = json.loads(lenskit("runs", "runs", "--json").out)
    assert [(run["path"], run["state"], run["batches"], run["probe"], run["rate"]) for run in found] == [
        ("runs/a", "stopped", 3, 0.25, 20.0),
        ("runs/b", "stopped", 2, None, 15.0),
    ]
    assert json.loads(lenskit("runs", "--json").out) == found


def test_a_damaged_run_costs_a_line(lenskit: Callable[..., Any], runs: Path) -> None:
    (runs / "a" / "run.toml").write_text("[")
    outcome = lenskit("runs")
    assert outcome.status == 0
    assert "damaged" in outcome.out
    assert [line for line in outcome.out.splitlines() if line.startswith("runs/a: ")] == [outcome.out.splitlines()[-1]]
    assert "run.toml: is no valid TOML" in outcome.out


def test_compares(lenskit: Callable[..., Any], runs: Path) -> None:
    outcome = lenskit("runs", "compare", "runs/a", "runs/b", "-o", "curves.png")
    assert (outcome.status, outcome.err) == (0, "")
    rows = {line.split()[0]: line.split()[1:] for line in outcome.out.splitlines() if line.strip(" ─")}
    assert rows["option"] == ["runs/a", "runs/b"]
    assert rows["train.seed"] == ["0", "3"]
    assert rows["loss"] == ["0.3333", "0.5"]
    assert rows["best"] == ["probe", "0.25", "-"]
    assert Path("curves.png").read_bytes().startswith(b"\x89PNG")


def test_compares_as_json(lenskit: Callable[..., Any], runs: Path) -> None:
    found = json.loads(lenskit("runs", "compare", "runs/a", "runs/b", "--json").out)
    assert found["differences"] == {"train.seed": [0, 3]}
    assert found["figures"]["batches"] == [3, 2]
    assert [run["path"] for run in found["runs"]] == ["runs/a", "runs/b"]


def test_runs_that_do_not_differ(lenskit: Callable[..., Any], runs: Path) -> None:
    assert "the configurations are the same" in lenskit("runs", "compare", "runs/a", "runs/a").out


def test_compares_what_can_be_compared(
    lenskit: Callable[..., Any], runs: Path, caplog: pytest.LogCaptureFixture
) -> None:
    Path("runs/notes").mkdir()
    Path("runs/README").write_text("mine")
    Path("runs/broken").mkdir()
    Path("runs/broken/run.toml").write_text("[train")
    outcome = lenskit("runs", "compare", *sorted(map(str, Path("runs").iterdir())))
    assert outcome.status == 0
    assert "train.seed" in outcome.out
    assert "runs/README is left out, it is no run" in caplog.text
    assert "runs/broken is left out, it is damaged: run.toml" in caplog.text
    assert "runs/broken is damaged: run.toml" in lenskit("runs", "compare", "runs/a", "runs/broken").err


def test_nothing_there(lenskit: Callable[..., Any], tmp_path: Path) -> None:
    assert "there is no folder runs/ here" in lenskit("runs").complaint()
    (tmp_path / "runs").mkdir()
    assert lenskit("runs").out == "no runs\n"
    assert json.loads(lenskit("runs", "--json").out) == []


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["compare", "runs/a"], "compare takes two runs or more"),
        (["compare", "runs/a", "runs/c"], "runs/c is no run directory: it has no run.toml"),
        (
            ["compare", "runs/a", "runs/b", "-o", "a.xls"],
            "-o takes a .png, .pdf or .svg file for the curves, got a.xls",
        ),
        (["nowhere"], "there is no folder nowhere"),
    ],
)
def test_bad_input(arguments: list[str], complaint: str, lenskit: Callable[..., Any], runs: Path) -> None:
    assert complaint in lenskit("runs", *arguments).complaint()


def test_the_recipe_of_a_run_is_listed(lenskit: Callable[..., Any]) -> None:
    trained = lenskit("train", "--recipe", "toys", "--accelerator", "cpu", "--epochs", 1)
    assert trained.status == 0, trained.err
    (run,) = json.loads(lenskit("runs", "--json").out)
    assert (run["recipe"], run["state"]) == ("toys@lenskit-ssl-toys", "finished")
