"""The share of a training step that live simulation costs: SimSiam on LenSiam's pairs, ResNet-101, 112 pixels.

    python tests/benchmarks/training_share.py [--batch-size 256] [--backbone resnet101] [--steps 10]

On a GPU if there is one. A step is one forward and backward pass of both views and the optimiser's; simulation is the
drawing, rendering, stretching and resizing of its pairs. Both run one after the other on the same device.
"""

from __future__ import annotations

import argparse
import statistics
import time

import torch

from lenskit.config import Config
from lenskit.data.source import Share
from lenskit.training.runner import Job

PRECISION = {"float32": None, "bfloat16": torch.bfloat16}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch-size", type=int, help="pairs; 256 on a GPU, else 8")
    parser.add_argument("--backbone", default="resnet101")
    parser.add_argument("--steps", type=int, help="to time; 10 on a GPU, else 2")
    parser.add_argument("--precision", choices=PRECISION, default="float32")
    arguments = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    size = arguments.batch_size or (256 if device.type == "cuda" else 8)
    steps = arguments.steps or (10 if device.type == "cuda" else 2)
    torch.set_float32_matmul_precision("high")
    job = Job(
        Config.resolve(
            {
                "train": {"lenses": size * steps, "epochs": 1, "batch_size": size},
                "simulator": {"name": "hst"},
                "pairs": {"name": "lens-fixed"},
                "method": {"name": "simsiam"},
                "backbone": {"name": arguments.backbone},
                "input": {"size": 112},
            }
        )
    )
    method, source, share = job.method.to(device).train(), job.source, Share(size)
    source.to(device)
    optimizer = method.configure_optimizers()
    simulation, training = [], []

    def now() -> float:
        if device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter()

    for step in range(steps + 1):
        start = now()
        number = share.of_batch(step % steps)
        batch = source.batch({name: values.to(device) for name, values in source.fetch(number).items()})
        drawn = now()
        optimizer.zero_grad()
        with torch.autocast(device.type, PRECISION[arguments.precision], enabled=arguments.precision != "float32"):
            loss = method.training_step(batch, step)["loss"]
        loss.backward()
        optimizer.step()
        done = now()
        if step:
            simulation.append(drawn - start)
            training.append(done - drawn)
    a, b = statistics.median(simulation), statistics.median(training)
    name = torch.cuda.get_device_name() if device.type == "cuda" else f"{torch.get_num_threads()} CPU thread(s)"
    print(f"{arguments.backbone}, {size} pairs of 112 x 112 pixels, {arguments.precision}, {name}")
    print(f"simulation {a * 1e3:9.1f} ms   {2 * size / a:12,.0f} images/s")
    print(f"training   {b * 1e3:9.1f} ms   {2 * size / b:12,.0f} images/s")
    print(f"simulation is {a / (a + b):.1%} of a step")


if __name__ == "__main__":
    main()
