"""The measures of collapse in closed form, and the monitor on two runs."""

from __future__ import annotations

import io
import json
import logging
import os
import signal
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from lenskit.config import Config
from lenskit.errors import LenskitError
from lenskit.run import Run
from lenskit.run_summary import summary
from lenskit.training.collapse import CollapseMonitor, effective_rank, projection_std
from lenskit.training.resume import resume
from lenskit.training.runner import Job


def normal(n: int, d: int) -> Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("d", [2, 16, 128])
def test_std_of_directions_spread_evenly_is_one(d: int) -> None:
    """Exact for plus and minus each axis, approximate for isotropic directions."""
    axes = torch.cat([torch.eye(d), -torch.eye(d)]) * torch.linspace(1, 100, 2 * d)[:, None]
    assert float(projection_std(axes)) == pytest.approx(1)
    assert float(projection_std(normal(5000, d))) == pytest.approx(1, rel=0.01)


def test_std_of_one_direction_is_zero() -> None:
    assert float(projection_std(torch.linspace(1, 2, 50)[:, None] * normal(1, 16))) == pytest.approx(0, abs=1e-3)
    assert float(projection_std(torch.zeros(50, 16))) == 0


def test_std_of_a_cone() -> None:
    """Along each other axis, the variance of the directions is s^2 / d / (1 + s^2)."""
    d, s = 400, 0.1
    x = s * normal(2000, d) / d**0.5
    x[:, 0] += 1
    assert float(projection_std(x)) == pytest.approx(s / (1 + s**2) ** 0.5, rel=0.01)


def test_effective_rank_in_closed_form() -> None:
    assert float(effective_rank(torch.eye(20, 30))) == pytest.approx(20)
    assert float(effective_rank(7 * torch.eye(30, 20))) == pytest.approx(20)
    assert float(effective_rank(normal(50, 1) * normal(1, 16))) == pytest.approx(1, abs=1e-3)
    # singular values 2, 1, 1: shares 1/2, 1/4, 1/4, an entropy of 3/2 ln 2
    assert float(effective_rank(torch.diag(torch.tensor([2.0, 1.0, 1.0, 0.0])))) == pytest.approx(2**1.5, rel=1e-5)


def test_effective_rank_of_nothing_is_one() -> None:
    assert float(effective_rank(torch.zeros(10, 4))) == 1


@given(st.integers(1, 30), st.integers(1, 30), st.integers(0, 6), st.integers(0, 1000))
@settings(deadline=None, max_examples=40)
def test_effective_rank_is_that_of_the_singular_values(n: int, d: int, decades: int, seed: int) -> None:
    """RankMe, equation 1, on spectra that fall over up to six decades."""
    x = torch.randn(n, d, generator=torch.Generator().manual_seed(seed)) * torch.logspace(0, -decades, d)
    values = torch.linalg.svdvals(x.double())
    shares = values / values.sum()
    expected = float((-shares * shares.log()).nansum().exp())
    assert float(effective_rank(x)) == pytest.approx(expected, rel=1e-4)
    assert 1 - 1e-6 <= float(effective_rank(x)) <= min(n, d) + 1e-6


def test_window_holds_the_latest_embeddings() -> None:
    monitor = CollapseMonitor(window=100)
    assert monitor.measure(None) == {}
    for batch in range(5):
        monitor.add(torch.eye(30) * (batch >= 3))  # the first three are zero
        expected = min(30 * (batch + 1), 120)  # whole batches that cover the window
        assert monitor.measure(None)["effective_rank_samples"] == expected
    for _ in range(4):
        monitor.add(normal(30, 1) * normal(1, 30))
    assert monitor.measure(None)["effective_rank"] == pytest.approx(1, abs=1e-3)


def test_patience() -> None:
    """A collapse is three low measurements in a row."""
    monitor = CollapseMonitor()
    low, high = torch.ones(8, 4), torch.cat([torch.eye(4), -torch.eye(4)])
    seen = []
    for projection in (low, low, high, low, low, low, low, high):
        assert monitor.measure(projection)["collapse_std"] == pytest.approx(float(projection is high), abs=1e-6)
        seen.append(monitor.collapsed is not None)
    assert seen == [False, False, False, False, False, True, True, False]


def test_an_embedding_on_a_line_has_collapsed() -> None:
    """A line anywhere in space is a collapse after three measurements; a plane is not."""
    line, plane = normal(64, 1) * normal(1, 8) + 100, normal(64, 2) @ normal(2, 8)
    for embedding, collapsed in ((line, True), (plane, False)):
        monitor = CollapseMonitor(window=64)
        monitor.add(embedding)
        for measurement in range(3):
            assert monitor.collapsed is None
            assert "effective_rank" not in monitor.measure(None, rank=False)
            assert (monitor.measure(None)["effective_rank_centred"] < 1.1) == collapsed, measurement
        assert (monitor.collapsed is not None) == collapsed
    assert monitor.measure(normal(64, 8)).keys() == {
        "collapse_std", "effective_rank", "effective_rank_centred", "effective_rank_samples",
    }  # fmt: skip


@pytest.mark.parametrize("size", [1, 7, 50, 99, 100, 101, 300])
def test_a_restored_monitor_goes_on_as_the_one_that_was_saved(size: int) -> None:
    """The state holds fewer embeddings than the window, as plain values.

    It does not hold the larger tensors that they are views into.
    """
    monitor, restored = CollapseMonitor(window=100), CollapseMonitor(window=100)
    line = (normal(size, 1) * normal(1, 8)).bfloat16()
    for _ in range(120 // size + 2):
        monitor.add(normal(10 * size, 8)[:size].bfloat16())
    for _ in range(2):
        monitor.measure(torch.ones(8, 4))
    file = io.BytesIO()
    torch.save(monitor.state_dict(), file)
    assert file.tell() < 100 * 8 * 4 + 120 * 600  # each of the tensors takes some hundred bytes of headers
    file.seek(0)
    state = torch.load(file, weights_only=True)
    assert sum(map(len, state["latest"])) < 100
    restored.load_state_dict(state)
    for _ in range(4):
        for one in (monitor, restored):
            one.add(line)
        assert restored.measure(torch.ones(8, 4)) == monitor.measure(torch.ones(8, 4))
        assert restored.collapsed == monitor.collapsed
        assert monitor.collapsed is not None


class Interrupt(pl.Callback):
    """Callback that presses Ctrl-C in a given batch."""

    def __init__(self, batch: int) -> None:
        self.batch = batch

    def on_train_batch_start(self, trainer: pl.Trainer, pl_module: Any, batch: Any, batch_idx: int) -> None:
        if pl_module.batches == self.batch:
            os.kill(os.getpid(), signal.SIGINT)


def simsiam(tmp_path: Path, stop_gradient: bool, *callbacks: pl.Callback, **monitor: bool) -> Run:
    batches = 40 if stop_gradient else 130
    config = Config.resolve(
        {
            "train": {"lenses": batches * 32, "epochs": 1, "batch_size": 32, "accelerator": "cpu"},
            "simulator": {"name": "blobs"},
            "pairs": {"name": "default"},
            "backbone": {"name": "tiny", "dropout": 0.0},
            "method": {"name": "simsiam", "projection_dim": 32, "hidden_dim": 64, "predictor_dim": 16}
            | {"projector_layers": 2, "stop_gradient": stop_gradient},
            "optimizer": {"lr": 5.0, "warmup_epochs": 0, "decay_all": True},
            "monitor": monitor,
        }
    )
    return Job(config).fit(Run.create(tmp_path / "run", config), None, False, callbacks)


@pytest.mark.slow
@pytest.mark.parametrize("stop_gradient", [True, False])
def test_a_run_that_collapses_is_noticed(stop_gradient: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """SimSiam without stop-gradient gets one warning; with it, none.

    See Chen & He 2021, figure 2.
    """
    caplog.set_level(logging.WARNING, "lenskit")
    run = simsiam(tmp_path, stop_gradient)
    figures = [json.loads(line) for line in (run.path / "metrics.jsonl").read_text().splitlines()]
    warnings = [record.getMessage() for record in caplog.records if "collapsed" in record.getMessage()]
    if stop_gradient:
        assert figures[-1]["collapse_std"] > 0.8
        assert warnings == []
    else:
        assert figures[-1]["collapse_std"] < 0.1
        assert figures[-1]["loss"] < -0.99  # the loss does not show the collapse
        assert len(warnings) == 1
        assert "std x sqrt(d) of the projection is 0.0" in warnings[0]
        assert warnings[0] in (run.path / "train.log").read_text()


@pytest.mark.slow
def test_a_run_that_collapses_is_stopped_if_it_is_asked_to(tmp_path: Path) -> None:
    """The run stops after the third low measurement, even if it was resumed.

    The encoder is saved.
    """
    with pytest.raises(LenskitError) as caught:
        simsiam(tmp_path, stop_gradient=False, stop_on_collapse=True)
    run = Run(tmp_path / "run")
    figures = [json.loads(line) for line in (run.path / "metrics.jsonl").read_text().splitlines()]
    assert [line["collapse_std"] < 0.1 for line in figures[-4:]] == [False, True, True, True]
    done = figures[-1]["batches"]
    assert done < 130
    assert str(caught.value) == (
        "the representation has collapsed: std x sqrt(d) of the projection is "
        f"{figures[-1]['collapse_std']:.3f} (evenly spread is 1) at batch {done}: training stopped; the encoder is "
        f"in {run.path / 'encoder'}"
    )
    assert caught.value.status != 0
    assert run.encoder().card["trained"]["batches"] == done
    assert torch.load(run.checkpoint, weights_only=True)["lenskit"]["batches"] == done
    assert summary(run.path).state == "failed"

    (tmp_path / "again").mkdir()
    cut_short = simsiam(tmp_path / "again", False, Interrupt(done - 5), stop_on_collapse=True)
    with pytest.raises(LenskitError, match=f"at batch {done}: training stopped"):
        resume(cut_short.path, progress=False)


@pytest.mark.slow
def test_a_run_that_does_not_collapse_is_not_stopped(tmp_path: Path) -> None:
    assert simsiam(tmp_path, stop_gradient=True, stop_on_collapse=True).finished
