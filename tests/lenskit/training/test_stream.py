"""Batches, learning rates and random seeds of a run."""

from __future__ import annotations

import random
import threading
from pathlib import Path

import numpy as np
import pytest
import torch

from lenskit.cli.main import run as lenskit
from lenskit.run import Run
from lenskit.training.resume import resume
from lenskit.training.runner import Job
from lenskit.training.stream import seed_generators
from lenskit_toys.components import Restless, Tiny


@pytest.mark.slow
def test_a_run_learns_from_every_lens_once_and_in_order(toys, recorder, tmp_path: Path) -> None:
    config, seen = toys(), recorder()
    Job(config).fit(Run.create(tmp_path / "run", config), None, False, [seen])
    assert seen.index == list(range(3 * 64))
    assert seen.counts == list(range(24))


@pytest.mark.slow
def test_rates_follow_the_number_of_batches(toys, recorder, tmp_path: Path) -> None:
    """The optimiser asks for one epoch of warm-up."""
    config, seen = toys(), recorder()
    job = Job(config)
    job.fit(Run.create(tmp_path / "run", config), None, False, [seen])
    method = Restless(Tiny(1, 16))
    method.budget = job.budget
    group = {"peak_lr": 0.05, "warmup_epochs": 1}
    assert seen.rates == [[method.learning_rate(group, batch)] * 2 for batch in range(24)]
    assert seen.rates[7] == seen.rates[8] == [0.05, 0.05]


@pytest.mark.slow
@pytest.mark.parametrize("stop", [6, 7, 8])
def test_a_resumed_run_goes_on_with_the_next_lens(
    stop: int, toys, recorder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run stops within an epoch, in its last batch, or in the first of the next."""
    config, whole, before, after = toys(), recorder(), recorder(), recorder()
    Job(config).fit(Run.create(tmp_path / "whole", config), None, False, [whole])
    run = Run.create(tmp_path / "run", config)
    monkeypatch.setenv("TOYS_SIGNAL", f"SIGINT:{stop}")
    Job(config).fit(run, None, False, [before])
    monkeypatch.delenv("TOYS_SIGNAL")
    Job(config).fit(run, stop + 1, False, [after])
    assert before.index + after.index == whole.index
    assert before.counts + after.counts == whole.counts
    assert before.rates + after.rates == whole.rates
    for batch, expected in zip(before.batches + after.batches, whole.batches, strict=True):
        assert all(map(torch.equal, batch.views, expected.views))
        assert batch.parameters.keys() == expected.parameters.keys()
        assert all(torch.equal(batch.parameters[name], expected.parameters[name]) for name in batch.parameters)
    assert torch.equal(torch.stack(before.losses + after.losses), torch.stack(whole.losses))


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a store of 2500 pairs of the toys' simulator in chunks of 128."""
    path = tmp_path_factory.mktemp("store") / "pairs.zarr"
    flags = "--simulator blobs --lenses 2500 --chunk 128 --workers 1 --out"
    assert lenskit(["simulate", *flags.split(), str(path)]) == 0
    return path


@pytest.mark.slow
@pytest.mark.parametrize("keep", ["disk", "memory", "device"])
def test_a_run_on_stored_lenses_goes_on_with_the_next(
    keep: str, store: Path, toys, recorder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For each way of holding the images and each stop.

    Passes have 2500 lenses, windows 1024 and epochs 2600.
    """
    options = {"data": {"name": "zarr", "path": str(store)}, "train": {"lenses": 2600, "batch_size": 325}}
    reference, whole = recorder(), recorder()
    config = toys(**options, input={"keep": "disk", "workers": 0})
    Job(config).fit(Run.create(tmp_path / "reference", config), None, False, [reference])
    for one_pass in torch.tensor(reference.index[:7500]).split(2500):
        assert one_pass.sort().values.tolist() == list(range(2500))
    config = toys(**options, input={"keep": keep, "workers": 2})
    run = Job(config).fit(Run.create(tmp_path / "whole", config), None, False, [whole])
    assert whole.index == reference.index
    assert torch.equal(torch.stack(whole.losses), torch.stack(reference.losses))
    for stop in (1, 10):
        before, after = recorder(), recorder()
        run = Run.create(tmp_path / f"run-{stop}", config)
        monkeypatch.setenv("TOYS_SIGNAL", f"SIGINT:{stop}")
        Job(config).fit(run, None, False, [before])
        monkeypatch.delenv("TOYS_SIGNAL")
        Job(config).fit(run, stop + 1, False, [after])
        assert before.index + after.index == whole.index
        assert torch.equal(torch.stack(before.losses + after.losses), torch.stack(whole.losses))
    for thread in threading.enumerate():
        if thread.name.startswith("lenskit-read"):
            thread.join(20)
            assert not thread.is_alive()


@pytest.mark.slow
def test_a_run_that_is_done_does_nothing(toys, tmp_path: Path) -> None:
    config = toys(train={"epochs": 1})
    run = Run.create(tmp_path / "run", config)
    Job(config).fit(run, None, False)
    before = run.checkpoint.read_bytes()
    assert resume(run.path, progress=False).finished
    assert run.checkpoint.read_bytes() == before


def test_images_come_in_the_precision_of_the_run(toys, recorder, tmp_path: Path) -> None:
    config, seen = toys(train={"precision": "64-true", "epochs": 1}), recorder()
    Job(config).fit(Run.create(tmp_path / "run", config), None, False, [seen])
    assert {view.dtype for batch in seen.batches for view in batch.views} == {torch.float64}
    assert seen.batches[0].index.dtype == torch.int64


def draw() -> tuple[float, float, float]:
    return float(torch.rand(())), random.random(), float(np.random.rand())


def test_generators_are_seeded_for_one_batch_of_one_process() -> None:
    """Seeds do not depend on earlier draws, and differ for each seed, batch and rank."""
    drawn = []
    for arguments in [(1, 2, 3), (1, 2, 3), (2, 2, 3), (1, 3, 3), (1, 2, 4), (-1, 2, 3), (3, 2, 1)]:
        seed_generators(*arguments)
        drawn.append(draw())
        draw()
    assert drawn[0] == drawn[1]
    for numbers in zip(*drawn[1:], strict=True):
        assert len(set(numbers)) == len(numbers)


def test_generators_of_devices_are_seeded_as_by_torch() -> None:
    """On the CPU, and on a GPU if there is one."""
    seed_generators(1, 2, 3)
    seed, devices = torch.initial_seed(), ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
    for device in devices:
        torch.rand(1, device=device)
        seed_generators(1, 2, 3)
        ours = torch.rand(3, device=device)
        torch.manual_seed(seed)
        assert torch.equal(ours, torch.rand(3, device=device))
