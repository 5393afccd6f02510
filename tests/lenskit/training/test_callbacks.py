"""Metrics, checkpoints and stops: the files on disk after success and errors."""

from __future__ import annotations

import json
import logging
import resource
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch

from lenskit.errors import LenskitError
from lenskit.run import Run
from lenskit.training.resume import resume
from lenskit.training.runner import Job, train


def figures(run: Run) -> list[dict[str, float]]:
    return [json.loads(line) for line in (run.path / "metrics.jsonl").read_text().splitlines()]


def load(run: Run) -> dict[str, Any]:
    return torch.load(run.checkpoint, weights_only=True)


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


# --- Figures ---


def test_a_line_of_figures_every_few_batches(toys, recorder, tmp_path: Path) -> None:
    config, seen = toys(train={"epochs": 2}, monitor={"log_every": 5}), recorder()
    run = Job(config).fit(Run.create(tmp_path / "run", config), None, False, [seen])
    lines = figures(run)
    assert [line["batches"] for line in lines] == [5, 10, 15, 16]
    assert [line["epoch"] for line in lines] == [0.625, 1.25, 1.875, 2]
    means = [float(torch.stack(part).mean()) for part in (seen.losses[i : i + 5] for i in (0, 5, 10, 15))]
    assert [line["loss"] for line in lines] == pytest.approx(means, rel=1e-6)
    assert [line["lr"] for line in lines] == [seen.rates[batch - 1][0] for batch in (5, 10, 15, 16)]
    # It costs more time than the others, so it is in every fifth line and the last.
    assert [line.get("effective_rank_samples") for line in lines] == [None, None, None, 128]
    assert all(line["rate"] > 0 and line["collapse_std"] > 0 for line in lines)


@pytest.mark.slow
def test_lines_of_batches_that_are_done_again_are_taken_back(
    toys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lines after the checkpoint are dropped, and a last line that was cut short."""
    monkeypatch.setenv("TOYS_SIGNAL", "SIGINT:10")
    run = train(toys(monitor={"log_every": 2}), tmp_path / "run", progress=False)
    monkeypatch.delenv("TOYS_SIGNAL")
    assert [line["batches"] for line in figures(run)] == [2, 4, 6, 8, 10]
    before = (run.path / "metrics.jsonl").read_text()
    (run.path / "metrics.jsonl").write_text(before + '{"batches": 12, "loss": 1.0}\n{"batches": 14, "lo')
    resume(run.path, progress=False)
    assert (run.path / "metrics.jsonl").read_text().startswith(before)
    assert [line["batches"] for line in figures(run)] == list(range(2, 25, 2))
    assert 1.0 not in [line["loss"] for line in figures(run)]


def harm(path: Path, how: str) -> None:
    before = path.read_bytes()
    path.unlink()
    if how == "folder":
        path.mkdir()
        (path / "mine").touch()
    else:
        lines = {
            "binary": b"\xff\0\xfe\n",
            "list": b"[1]\n",
            "deep": b"[" * 100_000 + b"\n",
            "text": b'{"batches": "x"}\n',
        }
        path.write_bytes(lines[how] + before)


@pytest.mark.slow
@pytest.mark.parametrize("how", ["binary", "list", "deep", "text", "folder"])
def test_damaged_figures_and_logs_never_block_a_checkpoint(
    how: str, toys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("TOYS_SIGNAL", "SIGINT:10")
    run = train(toys(monitor={"log_every": 2}), tmp_path / "run", progress=False)
    monkeypatch.delenv("TOYS_SIGNAL")
    harm(run.path / "metrics.jsonl", how)
    (run.path / "train.log").unlink()
    (run.path / "train.log").mkdir()
    assert resume(run.path, progress=False).finished
    # Readable lines continue, and the damaged file is kept.
    first = 12 if how == "folder" else 2
    assert [line["batches"] for line in figures(run)] == list(range(first, 25, 2))
    assert (run.path / "metrics.jsonl.1").exists()
    assert "metrics.jsonl is damaged" in caplog.text
    assert "this run has no log file" in caplog.text


def test_a_run_that_was_just_trained_can_be_evaluated(toys, tmp_path: Path) -> None:
    run = train(toys(train={"epochs": 1}), tmp_path / "run", progress=False)
    assert run.folder("probe").is_dir()
    shutil.rmtree(run.path)
    with pytest.raises(LenskitError, match="run was removed or moved"):
        run.folder("probe")
    assert not run.path.exists()


class Remove(pl.Callback):
    """Callback that removes or replaces the run's directory after a given batch."""

    def __init__(self, run: Run, after: int, replace: bool) -> None:
        self.run, self.after, self.replace = run, after, replace

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        if pl_module.batches + 1 == self.after:
            shutil.rmtree(self.run.path)
            if self.replace:
                Run.create(self.run.path, self.run.config)


@pytest.mark.slow
@pytest.mark.parametrize("replace", [False, True])
@pytest.mark.parametrize("after", [4, 24])
def test_a_run_that_is_removed_while_it_trains_is_an_error(replace: bool, after: int, toys, tmp_path: Path) -> None:
    """Another run's directory in its place is not changed."""
    config = toys(monitor={"log_every": 100})
    run = Run.create(tmp_path / "run", config)
    with pytest.raises(LenskitError, match="run was removed or moved while it was in use"):
        Job(config).fit(run, None, False, [Remove(run, after, replace)])
    there = [path.name for path in sorted(run.path.iterdir())] if run.path.exists() else []
    assert there == (["provenance.json", "run.toml"] if replace else [])


@pytest.mark.slow
@pytest.mark.parametrize("stop", [7, 18])
def test_a_resumed_run_writes_the_lines_of_one_that_was_not_stopped(
    stop: int, toys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the rate differs.

    The run stops between two lines, while earlier embeddings are still in the window.
    """
    config = toys(train={"lenses": 56, "epochs": 4}, monitor={"log_every": 5})
    whole = train(config, tmp_path / "whole", progress=False)
    monkeypatch.setenv("TOYS_SIGNAL", f"SIGINT:{stop - 1}")
    run = train(config, tmp_path / "run", progress=False)
    monkeypatch.delenv("TOYS_SIGNAL")
    assert load(run)["lenskit"]["batches"] == stop
    resumed = resume(run.path, progress=False)
    expected, seen = (
        [{name: value for name, value in line.items() if name != "rate"} for line in figures(one)]
        for one in (whole, resumed)
    )
    assert [line["batches"] for line in expected] == [5, 10, 15, 20, 25, 28]
    assert [line.get("effective_rank_samples") for line in expected[-2:]] == [200, 224]
    assert seen == expected


# --- Checkpoints ---


@pytest.mark.slow
def test_a_checkpoint_holds_plain_values(toys, tmp_path: Path) -> None:
    """It loads with `weights_only`, and has none of Lightning's batch counters."""
    run = train(toys(), tmp_path / "run", progress=False)
    state = load(run)
    assert state["lenskit"] == {"config": run.config.sections, "batches": 24}
    assert "loops" not in state
    assert files(run.path) == {
        "run.toml", "provenance.json", "metrics.jsonl", "train.log", "checkpoints/last.ckpt",
        "encoder/encoder.json", "encoder/model.safetensors",
    }  # fmt: skip


@pytest.mark.slow
def test_the_encoder_is_that_of_the_checkpoint(toys, tmp_path: Path) -> None:
    run = train(toys(), tmp_path / "run", progress=False)
    encoder = run.encoder()
    assert encoder.card["trained"] == {"batches": 24, "of": 24}
    weights = encoder.backbone.state_dict()
    saved = {k.removeprefix("backbone."): v for k, v in load(run)["state_dict"].items() if k.startswith("backbone.")}
    assert weights.keys() == saved.keys()
    assert all(torch.equal(weights[name], saved[name]) for name in saved)


class Crash(pl.Callback):
    """Callback that raises an error after a given batch.

    A checkpoint after that batch is saved before, unless this callback comes first.
    """

    def __init__(self, after: int) -> None:
        self.after = after

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        if pl_module.batches + 1 == self.after:
            raise ZeroDivisionError


@pytest.mark.parametrize(("after", "saved"), [(2, None), (3, 3), (5, 3), (7, 6), (8, 8), (10, 9)])
def test_checkpoints_are_saved_every_few_batches_and_at_the_end_of_epochs(
    after: int, saved: int | None, toys, tmp_path: Path
) -> None:
    config = toys()
    run = Run.create(tmp_path / "run", config)
    with pytest.raises(ZeroDivisionError):
        Job(config).fit(run, None, False, [Crash(after)])
    assert (load(run)["lenskit"]["batches"] if run.checkpoint.is_file() else None) == saved
    assert not run.finished


class LimitFiles(pl.Callback):
    """Callback that limits the size of files from a given batch on, like a full disk."""

    def __init__(self, after: int, size: int) -> None:
        self.after, self.size = after, size

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        if pl_module.batches + 1 == self.after:
            resource.setrlimit(resource.RLIMIT_FSIZE, (self.size, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))


@contextmanager
def limits_restored() -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.slow
@pytest.mark.parametrize(("size", "after", "saved"), [(12_000, 10, 9), (4_000, 10, 9), (12_000, 22, 21)])
def test_a_checkpoint_that_cannot_be_written_leaves_the_old_one(
    size: int, after: int, saved: int, toys, tmp_path: Path
) -> None:
    """The disk has room for the encoder only, or for neither file.

    The encoder has 6 kB and the checkpoint 19 kB. For the last checkpoint of a run, the encoder is then finished and
    the checkpoint is not.
    """
    config = toys()
    whole = train(config, tmp_path / "whole", progress=False)
    run = Run.create(tmp_path / "run", config)
    with limits_restored(), pytest.raises(LenskitError) as caught:
        Job(config).fit(run, None, False, [LimitFiles(after, size)])
    assert "\n" not in str(caught.value)
    assert str(caught.value) == (
        f"the checkpoint cannot be saved in {run.path / 'checkpoints'}: File too large; earlier checkpoints are "
        "undamaged"
    )
    assert load(run)["lenskit"]["batches"] == saved
    run.encoder()
    assert not [name for name in files(run.path) if name.endswith(".part")]
    resumed = resume(run.path, progress=False)
    assert resumed.finished
    for name, value in load(whole)["state_dict"].items():
        assert torch.equal(load(resumed)["state_dict"][name], value), name


# --- Losses that are not finite ---


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "what", "saved"),
    [
        ({"at": 13}, "the loss of batch 13 (epoch 1)", 12),
        ({"at": 14}, "the loss of batch 14 (epoch 1)", 12),  # a checkpoint is due after it
        ({"at": 16}, "the loss of batch 16 (epoch 2)", 16),
        ({"at": 12, "silently": True}, "the loss of batch 13 (epoch 1)", 12),
        ({"at": 11, "silently": True}, "a weight after batch 11 (epoch 1)", 9),  # a checkpoint is due, its loss is fine
    ],
)
def test_a_loss_that_is_not_finite_stops_the_run(options: dict, what: str, saved: int, toys, tmp_path: Path) -> None:
    """The files on disk are those from before the error."""
    path = tmp_path / "run"
    with pytest.raises(LenskitError) as caught:
        train(toys(method={"name": "exploding"} | options), path, progress=False)
    checkpoint = path / "checkpoints" / "last.ckpt"
    assert str(caught.value) == (
        f"{what} is not finite; the last good checkpoint is {checkpoint}; try a lower --lr, --precision 32-true, "
        "or a longer warm-up"
    )
    assert str(caught.value) in (path / "train.log").read_text()
    run = Run(path)
    assert load(run)["lenskit"]["batches"] == saved
    assert all(value.isfinite().all() for value in load(run)["state_dict"].values())
    assert all(value.isfinite().all() for value in run.encoder().state_dict().values())
    with pytest.raises(LenskitError, match="is not finite"):  # the batches are the same ones again
        resume(path, progress=False)


def test_a_loss_that_is_not_finite_at_once(toys, tmp_path: Path) -> None:
    with pytest.raises(LenskitError, match=r"the loss of batch 0 \(epoch 0\) is not finite; there is no checkpoint"):
        train(toys(method={"name": "exploding", "at": 0}), tmp_path / "run", progress=False)
    assert not Run(tmp_path / "run").finished


def test_the_command_says_so_in_one_line(toys, lenskit, tmp_path: Path) -> None:
    (tmp_path / "run.toml").write_text(toys(method={"name": "exploding"}).to_toml())
    outcome = lenskit("train", "--config", "run.toml", "--out", "run")
    assert outcome.status == 1
    assert [line for line in outcome.err.splitlines() if line.startswith("lenskit: ")] == [
        "lenskit: the loss of batch 5 (epoch 0) is not finite; the last good checkpoint is run/checkpoints/last.ckpt; "
        "try a lower --lr, --precision 32-true, or a longer warm-up"
    ]
    assert "Traceback" not in outcome.err


# --- Stopping ---


def test_ctrl_c_saves_and_says_how_to_go_on(
    toys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    before = signal.getsignal(signal.SIGINT)
    monkeypatch.setenv("TOYS_SIGNAL", "SIGINT:10")
    caplog.set_level(logging.WARNING, "lenskit")
    run = train(toys(), tmp_path / "run", progress=False)
    assert load(run)["lenskit"]["batches"] == run.encoder().card["trained"]["batches"] == 11
    assert not run.finished
    assert [record.getMessage() for record in caplog.records] == [
        "stopping at the end of this batch; press Ctrl-C again to stop at once",
        f"stopped after 11 of 24 batches; resume with: lenskit train --resume {run.path}",
    ]
    assert signal.getsignal(signal.SIGINT) is before


def test_a_second_ctrl_c_stops_at_once(toys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = signal.getsignal(signal.SIGINT)
    monkeypatch.setenv("TOYS_SIGNAL", "SIGINT+SIGINT:10")
    with pytest.raises(KeyboardInterrupt):
        train(toys(), tmp_path / "run", progress=False)
    assert load(Run(tmp_path / "run"))["lenskit"]["batches"] == 9
    assert signal.getsignal(signal.SIGINT) is before
