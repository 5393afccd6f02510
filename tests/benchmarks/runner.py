"""What the runner costs: pairs a second of `lenskit train` and of a bare PyTorch loop, in turns in one process.

    python tests/benchmarks/runner.py [--rounds 3] [--batches 15] [--recipe quickstart] [--threads 2]

Both do the same: the same live source, model, optimiser and batches. The bare loop is what a user would write by hand,
without checkpoints, logs, collapse monitor or progress. The figure to quote is the ratio; single rates depend on what
else the machine is doing.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import pytorch_lightning as pl
import torch

from lenskit.config import Config, read_recipe
from lenskit.data.source import Share
from lenskit.run import Run
from lenskit.training import runner


class Stopwatch(pl.Callback):
    """Times batches, from the end of the first to the end of the last."""

    def on_train_batch_end(self, trainer: pl.Trainer, *_: object) -> None:
        self.end = time.perf_counter()
        self.start = getattr(self, "start", self.end)


def bare(config: Config, batches: int) -> float:
    """Seconds a batch of a bare loop."""
    job = runner.Job(config)
    method, source = job.method, job.source
    optimizer = method.configure_optimizers()
    method.train()
    share = Share(job.budget.batch_size)
    for batch in range(batches):
        optimizer.zero_grad()
        loss = method.training_step(source.batch(source.fetch(share.of_batch(batch))), batch)["loss"]
        loss.backward()
        optimizer.step()
        if batch == 0:
            start = time.perf_counter()
    return (time.perf_counter() - start) / (batches - 1)


def ours(config: Config, folder: Path) -> float:
    """Seconds a batch of the runner."""
    job = runner.Job(config)
    watch = Stopwatch()
    job.fit(Run.create(folder, config), None, progress=False, callbacks=[watch])
    return (watch.end - watch.start) / (job.budget.batches - 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batches", type=int, default=15)
    parser.add_argument("--recipe", default="quickstart")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    recipe = read_recipe(arguments.recipe)
    batch_size = Config.resolve(recipe).sections["train"]["batch_size"]
    length = {"train": {"lenses": batch_size * arguments.batches, "epochs": 1}}
    config = Config.resolve(recipe, length)
    ratios = []
    print(
        f"{arguments.recipe}: batches of {batch_size} pairs, {arguments.threads} thread(s), torch {torch.__version__}"
    )
    for number in range(arguments.rounds):
        with tempfile.TemporaryDirectory() as folder:
            a, b = bare(config, arguments.batches), ours(config, Path(folder) / "run")
        ratios.append(b / a)
        rates = f"bare {batch_size / a:6.1f} pairs/s   lenskit {batch_size / b:6.1f} pairs/s"
        print(f"round {number + 1}: {rates}   x{b / a:.3f}", flush=True)
    print(f"lenskit takes {statistics.median(ratios):.3f} times as long (median of {arguments.rounds})")


if __name__ == "__main__":
    main()
