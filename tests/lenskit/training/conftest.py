"""Fixtures of the tests of training, with runs that take a fraction of a second."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor

from lenskit.config import Config
from lenskit.kinds.pairs import Batch
from lenskit.layers import Layer

Toys = Callable[..., Config]

TOYS: Layer = {
    "train": {"lenses": 64, "epochs": 3, "batch_size": 8, "checkpoint_every": 3, "accelerator": "cpu"},
    "simulator": {"name": "blobs"},
    "pairs": {"name": "lens-fixed"},
    "method": {"name": "restless"},
    "backbone": {"name": "tiny"},
}


@pytest.fixture(scope="session")
def toys() -> Toys:
    """Return a function that makes a configuration of three epochs of eight batches.

    A checkpoint is saved after every third batch. Arguments override options, for example `toys(method={"name":
    "exploding"}, train={"seed": 1})`.
    """
    return lambda **changes: Config.resolve(TOYS, changes)


@pytest.fixture(scope="package", autouse=True)
def one_thread() -> Iterator[None]:
    """Use one thread: sums of floats depend on the number of threads.

    The networks are also too small to be faster with two threads.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


class Recorder(pl.Callback):
    """Callback that records each batch, its count, learning rates and loss."""

    def __init__(self) -> None:
        self.batches: list[Batch] = []
        self.counts: list[int] = []
        self.rates: list[list[float]] = []
        self.losses: list[Tensor] = []

    def on_train_batch_start(self, trainer: pl.Trainer, pl_module: Any, batch: Any, batch_idx: int) -> None:
        self.batches.append(batch)
        self.counts.append(pl_module.batches)
        self.rates.append([group["lr"] for optimizer in trainer.optimizers for group in optimizer.param_groups])

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self.losses.append(outputs["loss"].detach())

    @property
    def index(self) -> list[int]:
        """Lenses in the order in which the run learned from them."""
        return torch.cat([batch.index for batch in self.batches]).tolist()


@pytest.fixture
def recorder() -> Callable[[], Recorder]:
    return Recorder


@pytest.fixture(scope="session")
def together() -> Iterator[Callable[..., list[list[int]]]]:
    """Return a function that runs groups of processes and returns their exit statuses.

    See `together.py`, which is started once for all tests.
    """
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("SLURM_", "TOYS_"))}
    with subprocess.Popen(
        [sys.executable, Path(__file__).with_name("together.py")],
        env=environment | {"OMP_NUM_THREADS": "1"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as program:

        def run(*groups: dict[str, Any]) -> list[list[int]]:
            print(json.dumps([os.getcwd(), groups]), file=program.stdin, flush=True)
            answer = program.stdout.readline()  # type: ignore[union-attr]
            assert answer, f"together.py ended with status {program.wait()}"
            return json.loads(answer)

        yield run
        program.kill()
