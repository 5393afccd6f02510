"""Speed of training on one GPU with live lens-fixed pairs, and its upper limit.

    python tests/benchmarks/gpu.py --out gpu.json [--batch-size 256] [--small]

The benchmark uses ResNet-101 and SimSiam at 112 pixels in bf16, channels last, compiled. It measures the pairs per
second of lenskit, of a plain training loop, and of forward pass, backward pass and optimiser on the same batch
repeatedly. It also measures the images per second that are drawn and rendered. The goal of live training is at least
half the speed of the passes on the same batch. Each figure is written as soon as it is measured. `--small` runs all
steps with a small network in about a minute; it is necessary on a machine without a GPU.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from lenskit.cli.benchmark import figures
from lenskit.config import Config
from lenskit.data.training_set import Share
from lenskit.training.benchmark import Spread, benchmark, describe
from lenskit.training.devices import make_trainer
from lenskit.training.reference_loop import MIXED, bare_loop, views_of
from lenskit.training.runner import Job

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")


def seconds(work: Callable[[], Any], steps: int, rounds: int = 3) -> list[float]:
    """Return the seconds per call in each round of `steps` calls."""
    for _ in range(2):
        work()
    times = []
    for _ in range(rounds):
        start = _now()
        for _ in range(steps):
            work()
        times.append((_now() - start) / steps)
    return times


def _now() -> float:
    if DEVICE.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


def passes_alone(config: Config) -> Callable[[], None]:
    """Return a training step that uses the same batch each time and renders nothing."""
    job = Job(config)
    method = job.method.to(DEVICE).train()
    if job.settings.compile:
        job.compile(make_trainer(job.settings, 1))
    optimizer: Any = method.configure_optimizers()
    job.training_set.to(DEVICE)
    index = {"index": Share(job.budget.batch_size).of_batch(0).to(DEVICE)}
    batch = views_of(job, index)
    precision = job.settings.precision

    def step() -> None:
        optimizer.zero_grad()
        with torch.autocast(DEVICE.type, MIXED.get(precision), precision in MIXED):
            loss = method.step(batch)["loss"]
        loss.backward()
        optimizer.step()

    return step


def rendering(config: Config) -> Callable[[], None]:
    """Return a function that draws and renders a new batch of views."""
    job = Job(config)
    job.training_set.to(DEVICE)
    share, number = Share(job.budget.batch_size), iter(range(10**9))

    def make() -> None:
        job.training_set.batch({"index": share.of_batch(next(number)).to(DEVICE)})

    return make


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="JSON file for the figures; by default they are only printed")
    parser.add_argument("--batch-size", type=int, help="pairs; 256, or 4 with --small")
    parser.add_argument("--small", action="store_true", help="a small network and few steps")
    arguments = parser.parse_args()
    small = arguments.small or DEVICE.type == "cpu"
    torch.set_float32_matmul_precision("high")
    size, steps = arguments.batch_size or (4 if small else 256), 2 if small else 20
    config = Config.resolve(
        {
            "train": {
                "batch_size": size,
                "lenses": 64 * size,
                "epochs": 1,
                "precision": "bf16-mixed",
                "channels_last": True,
                "compile": not small,
                "accelerator": "auto",
            },
            "pairs": {"name": "lens-fixed"},
            "method": {"name": "simsiam"},
            "backbone": {"name": "resnet18" if small else "resnet101"},
            "simulator": {"name": "hst"},
            "input": {"size": 32 if small else 112},
        }
    )
    found: dict[str, Any] = {"device": describe(DEVICE), "torch": torch.__version__, "batch_size": size}

    def keep(name: str, value: Any) -> None:
        found[name] = value
        if arguments.out:
            arguments.out.write_text(json.dumps(found, indent=2) + "\n")
        print(name, json.dumps(value), flush=True)

    def rate(times: list[float], items: int) -> dict[str, float]:
        return asdict(Spread.of([items / each for each in times]))

    alone = seconds(passes_alone(config), steps)
    keep("passes alone, pairs/s", rate(alone, size))
    keep("drawn and rendered, images/s", rate(seconds(rendering(config), steps), 2 * size))
    keep("bare loop, pairs/s", size / bare_loop(Job(config), steps, 2))
    measured = benchmark(config, max(steps, 3))
    keep("lenskit", figures(config, measured))
    keep("live over passes alone", statistics.median(alone) / Spread.of(measured.totals).median)


if __name__ == "__main__":
    main()
