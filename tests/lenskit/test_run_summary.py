"""Overview of runs: states, damage and differences."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import matplotlib.image
import pytest

from lenskit.config import Config
from lenskit.errors import LenskitError, UsageError
from lenskit.lock import held, is_held
from lenskit.run import Run
from lenskit.run_summary import compare_runs, figures, find, plot_runs, summary
from lenskit.training.runner import train

SECTIONS: dict[str, dict[str, Any]] = {
    "train": {"lenses": 32, "epochs": 2, "batch_size": 8, "accelerator": "cpu", "checkpoint_every": 3},
    "simulator": {"name": "blobs"},
    "pairs": {"name": "lens-fixed"},
    "method": {"name": "restless"},
    "backbone": {"name": "tiny"},
    "monitor": {"log_every": 2, "probe_every": 4, "probe_lenses": 64},
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs that finished."""
    folder = tmp_path_factory.mktemp("runs")
    train(Config.resolve(SECTIONS), folder / "a", progress=False, recipe="toys")
    other = {"train": {"seed": 1}, "backbone": {"dropout": 0.5}, "monitor": {"probe_every": 0}}
    train(Config.resolve(SECTIONS, other), folder / "b", progress=False)
    return folder


@pytest.fixture
def copy(runs: Path, tmp_path: Path) -> Path:
    """A copy of run a, to be damaged."""
    return Path(shutil.copytree(runs / "a", tmp_path / "copy"))


def test_a_run_that_finished(runs: Path) -> None:
    a, b = find([runs])
    lines = figures(runs / "a" / "metrics.jsonl")
    assert (a.path, a.state, a.recipe, a.method, a.pairs, a.backbone) == (
        str(runs / "a"), "finished", "toys@lenskit-ssl-toys",
        "restless@lenskit-ssl-toys", "lens-fixed", "tiny@lenskit-ssl-toys",
    )  # fmt: skip
    assert (a.batches, a.of, a.note) == (8, 8, "")
    assert a.probe == max(line["probe"] for line in lines if "probe" in line)
    rates = sorted(line["rate"] for line in lines if "rate" in line)
    assert a.rate == pytest.approx((rates[1] + rates[2]) / 2)
    assert (b.recipe, b.probe) == (None, None)


def test_a_run_is_listed_by_itself_and_other_folders_are_not(runs: Path, tmp_path: Path) -> None:
    assert find([runs / "b"]) == find([runs])[1:]
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("")
    assert find([tmp_path]) == []
    with pytest.raises(UsageError, match="there is no folder"):
        find([tmp_path / "nothing"])


def test_a_run_is_running_while_a_process_holds_it(runs: Path) -> None:
    with held(runs / "a"):
        assert is_held(runs / "a")
        assert summary(runs / "a").state == "running"
        with pytest.raises(LenskitError, match="is being trained by another process"), held(runs / "a"):
            pass
    assert summary(runs / "a").state == "finished"
    assert not (runs / "a" / "run.lock").exists()


def test_a_run_that_is_being_trained_is_not_replaced(copy: Path) -> None:
    with held(copy), pytest.raises(UsageError, match="being trained by another process, so --overwrite does not"):
        Run.create(copy, Config.resolve(SECTIONS), overwrite=True)
    assert (copy / "encoder").is_dir()


@pytest.mark.slow
def test_a_run_that_was_killed_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "run.toml").write_text(Config.resolve(SECTIONS).to_toml())
    monkeypatch.setenv("TOYS_SIGNAL", "SIGKILL:5")
    command = [sys.executable, "-m", "lenskit.cli", "train", "--config", "run.toml", "--out", "killed"]
    assert subprocess.run(command, capture_output=True).returncode == -signal.SIGKILL
    (run,) = find([tmp_path / "killed"])
    assert (run.state, run.batches, run.of, run.note) == ("stopped", 4, 8, "")


def test_a_run_that_a_user_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOYS_SIGNAL", "SIGINT+SIGINT:5")
    with pytest.raises(KeyboardInterrupt):
        train(Config.resolve(SECTIONS), tmp_path / "run", progress=False)
    assert summary(tmp_path / "run").state == "stopped"


def test_a_run_that_failed_says_why(tmp_path: Path) -> None:
    config = Config.resolve(SECTIONS, {"method": {"name": "exploding", "at": 4}})
    with pytest.raises(LenskitError):
        train(config, tmp_path / "run", progress=False)
    run = summary(tmp_path / "run")
    assert run.state == "failed"
    assert run.note.startswith("LenskitError: the loss of batch 4 (epoch 1) is not finite; ")


DAMAGES = [
    ("run.toml", None, "run.toml is missing"),
    ("run.toml", "name = ", "run.toml: "),
    ("run.toml", "a = 1", "run.toml: holds no sections"),
    ("run.toml", "", "run.toml: holds no sections"),
    ("provenance.json", "{", "provenance.json: "),
    ("provenance.json", "[]", "provenance.json: holds no object"),
    ("metrics.jsonl", '{"loss": 1}\n{"batches": 2}\n', "metrics.jsonl: line 1 holds no metrics"),
    ("encoder/encoder.json", "\0", "encoder.json: "),
    ("best/encoder.json", "nothing", "encoder.json: "),
]


@pytest.mark.parametrize(("name", "content", "note"), DAMAGES)
def test_a_damaged_run_costs_a_line(copy: Path, name: str, content: str | None, note: str) -> None:
    if content is None:
        (copy / name).unlink()
    else:
        (copy / name).write_text(content)
    run = summary(copy)
    assert run.state == "damaged"
    assert run.note.startswith(note)
    assert "\n" not in run.note


def test_files_that_are_not_text_are_damage(copy: Path) -> None:
    for name in ("run.toml", "provenance.json", "metrics.jsonl", "encoder/encoder.json"):
        (copy / name).write_bytes(b"\xff\xfe\n\xff")
    assert summary(copy).state == "damaged"


def test_values_of_other_kinds_are_damage(copy: Path) -> None:
    (copy / "encoder" / "encoder.json").write_text('{"trained": {"batches": "many", "of": null}}')
    (copy / "metrics.jsonl").write_text('{"batches": 2, "rate": "fast", "probe": "good"}\n{"batches": 4}\n')
    run = summary(copy)
    assert run.state == "damaged"
    assert run.note.count(";") == 1


def test_a_line_that_is_being_written_is_left_out(copy: Path) -> None:
    before = figures(copy / "metrics.jsonl")
    with (copy / "metrics.jsonl").open("a") as file:
        file.write('{"batches": 9, "lo')
    assert figures(copy / "metrics.jsonl") == before
    assert summary(copy).state == "finished"


def test_runs_differ_where_their_configurations_do(runs: Path) -> None:
    comparison = compare_runs([runs / "a", runs / "b"])
    assert comparison.differences == {
        "train.seed": [0, 1],
        "monitor.probe_every": [4, 0],
        "backbone.dropout": [0.2, 0.5],
    }
    last = [figures(runs / name / "metrics.jsonl") for name in "ab"]
    assert comparison.figures["loss"] == [[line for line in lines if "loss" in line][-1]["loss"] for lines in last]
    assert comparison.figures["probe"] == [last[0][-1]["probe"], None]
    assert compare_runs([runs / "a", runs / "a"]).differences == {}


def test_options_that_only_one_component_has(runs: Path, copy: Path) -> None:
    config = Config.resolve(SECTIONS, {"method": {"name": "two-optimizers"}})
    (copy / "run.toml").write_text(config.to_toml())
    differences = compare_runs([runs / "a", copy]).differences
    assert differences["method.name"] == ["restless@lenskit-ssl-toys", "two-optimizers@lenskit-ssl-toys"]
    assert differences["method.lr"] == [None, 0.01]
    assert differences["method.noise"] == [0.1, None]


@pytest.mark.slow
def test_curves_are_those_of_the_figures(runs: Path, tmp_path: Path) -> None:
    comparison = compare_runs([runs / "a", runs / "b"])
    figure = plot_runs(comparison)
    loss, probe, *_ = figure.axes
    for line, lines in zip(loss.get_lines(), comparison.lines, strict=True):
        points = [(each["batches"], each["loss"]) for each in lines if "loss" in each]
        assert line.get_xydata().tolist() == [[x, pytest.approx(y)] for x, y in points]
    assert [len(line.get_xydata()) for line in probe.get_lines()] == [2, 0]
    figure.savefig(tmp_path / "curves.png")
    assert matplotlib.image.imread(tmp_path / "curves.png").std() > 0


def test_what_cannot_be_compared(runs: Path, copy: Path) -> None:
    with pytest.raises(UsageError, match="is no run directory"):
        compare_runs([runs / "a", runs])
    (copy / "metrics.jsonl").unlink()
    with pytest.raises(LenskitError, match="nothing to plot"):
        plot_runs(compare_runs([copy, copy]))
    (copy / "provenance.json").write_text("{")
    with pytest.raises(LenskitError, match="copy is damaged: provenance.json"):
        compare_runs([runs / "a", copy])


def test_the_recipe_is_written_down(runs: Path) -> None:
    assert json.loads((runs / "a" / "provenance.json").read_text())["recipe"] == "toys@lenskit-ssl-toys"
