"""Metrics in TensorBoard, read back; and loggers that are not installed or fail."""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from lenskit.errors import UsageError
from lenskit.run import Run
from lenskit.training.loggers import Loggers, check_installed
from lenskit.training.resume import resume
from lenskit.training.runner import train

MONITOR = {"loggers": ["tensorboard"], "log_every": 2, "probe_every": 6, "probe_lenses": 64}


def curves(run: Run) -> dict[str, list[tuple[int, float]]]:
    """Return the curves in TensorBoard: steps and values for each tag."""
    events = EventAccumulator(str(run.path / "tensorboard"))
    events.Reload()
    tags = events.Tags()["scalars"]
    return {tag: [(event.step, event.value) for event in events.Scalars(tag)] for tag in tags}


def written(run: Run) -> dict[str, list[tuple[int, float]]]:
    """Return the same curves from metrics.jsonl."""
    found: dict[str, list[tuple[int, float]]] = {}
    for text in (run.path / "metrics.jsonl").read_text().splitlines():
        line = json.loads(text)
        for name, value in line.items():
            if name not in ("batches", "epoch"):
                found.setdefault(name, []).append((line["batches"], pytest.approx(value, rel=1e-6)))
    return found


@pytest.mark.slow
def test_tensorboard_shows_every_figure_over_batches(toys, tmp_path: Path) -> None:
    run = train(toys(monitor=MONITOR), tmp_path / "run", progress=False)
    shown = curves(run)
    assert {"loss", "rate", "lr", "collapse_std", "effective_rank", "probe", "r2/width", "uniformity"} <= shown.keys()
    assert {name: points for name, points in shown.items() if name in written(run)} == written(run)
    assert [step for step, _ in shown["loss"]] == [*range(2, 25, 2)]
    assert [step for step, _ in shown["probe"]] == [6, 12, 18, 24]


@pytest.mark.slow
def test_a_resumed_run_goes_on_in_the_same_curves(toys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The run resumes after batch 9; batches that are repeated appear once."""
    monkeypatch.setenv("TOYS_SIGNAL", "SIGINT+SIGINT:11")
    with pytest.raises(KeyboardInterrupt):
        train(toys(monitor=MONITOR), tmp_path / "run", progress=False)
    monkeypatch.delenv("TOYS_SIGNAL")
    assert [step for step, _ in curves(Run(tmp_path / "run"))["loss"]] == [2, 4, 6, 8, 10]
    run = resume(tmp_path / "run", progress=False)
    assert [step for step, _ in curves(run)["loss"]] == [*range(2, 25, 2)]
    assert curves(run)["loss"] == written(run)["loss"]
    assert curves(run)["probe"] == written(run)["probe"]


def test_one_that_is_not_installed_is_said_before_anything_is_written(
    toys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder with the name of the logger does not count as its package."""
    monkeypatch.setattr(sys, "path", [str(tmp_path), *(p for p in sys.path if "site-packages" not in p)])
    (tmp_path / "wandb").mkdir()
    with pytest.raises(UsageError) as caught:
        train(toys(monitor={"loggers": ["wandb"]}), tmp_path / "run", progress=False)
    assert str(caught.value) == "logger 'wandb' is not installed: pip install 'lenskit-ssl[wandb]'"
    assert not (tmp_path / "run").exists()


def test_what_is_installed_is_said_nothing_of() -> None:
    check_installed(["tensorboard"])


def test_the_flag_names_loggers(lenskit) -> None:
    printed = lenskit("train", "--logger", "tensorboard", "--logger", "mlflow", "--print-config")
    assert 'loggers = [\n    "tensorboard",\n    "mlflow",\n]' in printed.out
    wrong = lenskit("train", "--logger", "paper", "--print-config").complaint()
    assert "paper" in wrong
    assert "tensorboard" in wrong


def test_one_that_cannot_write_costs_a_line(toys, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    run = Run.create(tmp_path / "run", toys())
    (run.path / "tensorboard").write_text("in the way")
    caplog.set_level(logging.WARNING, "lenskit")
    loggers = Loggers(["tensorboard"], run, 0)
    loggers.write(1, {"loss": 1.0})
    loggers.write(2, {"loss": 1.0})
    loggers.close("success")
    assert len(caplog.records) == 1
    assert caplog.messages[0].startswith("logger tensorboard failed and gets no more metrics:")
