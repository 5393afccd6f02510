"""The benchmark times a run without changing it, and leaves no files behind."""

from __future__ import annotations

import resource
import tempfile
from pathlib import Path
from typing import Any

import pytest
import torch

from lenskit.config import Config
from lenskit.errors import UsageError
from lenskit.run import Run
from lenskit.training.benchmark import STAGES, WARM_UP, Spread, Stopwatch, benchmark, peak_memory
from lenskit.training.reference_loop import bare_loop
from lenskit.training.runner import Job


def test_stages_are_all_of_a_batch(toys: Any) -> None:
    measured = benchmark(toys(), batches=5)
    assert (measured.batch_size, len(measured.times), measured.bare, measured.ratio) == (8, 5, [], None)
    assert {s for s in STAGES if s != "optimiser"} <= set(measured.stages) <= set(STAGES)
    assert sum(share for _, share in measured.stages.values()) == pytest.approx(1)
    assert all(seconds.median > 0 and 0 < share < 1 for seconds, share in measured.stages.values())
    assert all(seconds.low <= seconds.median <= seconds.high for seconds, _ in measured.stages.values())
    assert measured.rate.median == pytest.approx(8 / Spread.of(measured.totals).median)
    assert 1e8 < measured.memory < 1e11


@pytest.mark.slow
@pytest.mark.parametrize("changes", [{}, {"train": {"accumulate": 2}}, {"train": {"precision": "bf16-mixed"}}], ids=str)
def test_timing_changes_nothing(toys: Any, changes: dict[str, Any], tmp_path: Path) -> None:
    config = toys(**{"train": {"epochs": 1} | changes.pop("train", {})}, **changes)
    weights = []
    for timed in (False, True):
        job = Job(config)
        callbacks = [Stopwatch(job)] if timed else []
        job.fit(Run.create(tmp_path / str(timed), config), None, False, callbacks)
        weights.append(job.method.state_dict())
    torch.testing.assert_close(*weights, rtol=0, atol=0)
    assert len(callbacks[0].times()) == 8 - WARM_UP - 1


def test_nothing_is_left_behind(toys: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    benchmark(toys(), batches=2)
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
@pytest.mark.parametrize(
    "train",
    [{}, {"precision": "bf16-mixed"}, {"precision": "64-true"}, {"accumulate": 2}, {"channels_last": True}],
    ids=str,
)
def test_a_bare_loop_learns_the_same(toys: Any, train: dict[str, Any], tmp_path: Path) -> None:
    """The bare loop has no schedule, so the run gets a constant learning rate."""
    config = toys(
        train={"epochs": 1} | train,
        method={"name": "simsiam", "projection_dim": 16, "hidden_dim": 16},
        backbone={"dropout": 0.0},
        optimizer={"clip": 0.5},
    )
    run, loop = Job(config), Job(config)
    run.method.learning_rate = lambda group, batches: group["peak_lr"]  # type: ignore[method-assign]
    run.fit(Run.create(tmp_path / "run", config), None, False)
    bare_loop(loop, 6, 2)
    # bfloat16 has three digits, and the two orders of clipping differ in the last one.
    atol = 3e-3 if train.get("precision") == "bf16-mixed" else 1e-5
    torch.testing.assert_close(loop.method.state_dict(), run.method.state_dict(), rtol=1e-4, atol=atol)


@pytest.mark.slow
def test_rounds_alternate(toys: Any) -> None:
    measured = benchmark(toys(), batches=2, bare_rounds=3)
    assert (len(measured.times), len(measured.bare)) == (6, 3)
    assert measured.ratio is not None
    ratios = sorted(ours / bare for ours, bare in measured.bare)
    assert measured.ratio.median == pytest.approx(ratios[1])


@pytest.mark.parametrize("values", [[3.0, 1.0, 2.0, 5.0, 4.0], [1.0, 1.0]])
def test_spread_is_that_of_torch(values: list[float]) -> None:
    expected = torch.tensor(values).quantile(torch.tensor([0.5, 0.25, 0.75])).tolist()
    assert Spread.of(values) == Spread(*expected)


def test_too_few_batches_are_refused(toys: Any) -> None:
    with pytest.raises(UsageError, match="use --batches 2 or more"):
        benchmark(toys(), batches=1)


def test_peak_memory_is_that_of_the_process() -> None:
    """The peak is between the present memory of the process and the system's figure.

    The system's figure may start from the peak of the parent process.
    """
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    assert pages * resource.getpagesize() <= peak_memory() <= most * 1.01


def test_methods_with_their_own_steps_have_no_bare_loop(toys: Any) -> None:
    config: Config = toys(method={"name": "two-optimizers"})
    with pytest.raises(UsageError, match="steps its optimisers itself"):
        bare_loop(Job(config), 2, 1)
    assert len(benchmark(config, batches=2).times) == 2
