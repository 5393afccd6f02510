"""Time of the training steps of the DeepLense detectors, ours and the authors'.

    pip install --target original --no-deps unsupervised-lensing==0.1.2 googledrivedownloader==0.4.0
    pip install --target original requests
    PYTHONPATH=original python tests/benchmarks/autoencoders.py [--device cuda] [--methods aae vae] [--rounds 12]

A step is forward pass, backward pass and optimiser on the same 100 images of 150 x 150 pixels. Our steps are computed
without options, with channels last, compiled, in bf16, and with all options together that are faster alone. The steps
of the authors are the loop of `train` in their package with its networks; they are left out if the package is not
installed. All steps alternate in one process on one thread, and a ratio compares two steps of the same round. Times are
CPU time on the CPU, which other work on the machine disturbs less, and wall-clock time on a GPU.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lenskit.api import configuration
from lenskit.evaluation import to_markdown
from lenskit.kinds.pairs import Batch
from lenskit.training.devices import make_trainer, quiet_lightning
from lenskit.training.reference_loop import MIXED
from lenskit.training.runner import Job

IMAGES, PIXELS = 100, 150

Step = Callable[[], None]

PLAIN = "plain"
TOGETHER = "together"

OPTIONS: Mapping[str, Mapping[str, Any]] = {
    "channels last": {"train.channels_last": True},
    "compile": {"train.compile": True},
    "bf16": {"train.precision": "bf16-mixed"},
}
"""Options of `lenskit train` for each variant of the computation."""

FASTER = 1.02
"""Speed-up above which a variant is included in the combination of all variants."""


def main() -> None:
    """Print a table of step times in milliseconds, with speed-ups."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--methods", nargs="+", choices=THEIRS, default=list(THEIRS))
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    device = torch.device(arguments.device)
    there = importlib.util.find_spec("unsupervised_lensing") is not None
    where = torch.cuda.get_device_name(device) if device.type == "cuda" else f"CPU, {arguments.threads} threads"
    print(f"{where}, torch {torch.__version__}, {arguments.rounds} rounds; in brackets quartiles", flush=True)
    images = pictures().to(device)
    for method in arguments.methods:
        steps: dict[str, Step] = {PLAIN: ours(method, {}, images)}
        steps |= {name: ours(method, options, images) for name, options in OPTIONS.items()}
        if there:
            steps["theirs"] = partial(next, THEIRS[method](images))
        times = taken(steps, arguments.rounds, device)
        rows = table(method, times, list(steps))
        faster = [name for name in OPTIONS if np.median(times[PLAIN] / times[name]) > FASTER]
        if len(faster) > 1:
            together = {key: value for name in faster for key, value in OPTIONS[name].items()}
            steps = {name: steps[name] for name in (PLAIN, "theirs") if name in steps}
            steps[TOGETHER] = ours(method, together, images)
            again = taken(steps, arguments.rounds, device)
            rows += table(method, again, [TOGETHER], f" ({', '.join(faster)})")
        print(to_markdown(rows), flush=True)


def taken(steps: Mapping[str, Step], rounds: int, device: torch.device) -> dict[str, Any]:
    """Return the seconds (rounds,) of each step.

    All steps alternate, and the order is reversed after each round.
    """
    for step in steps.values():
        for _ in range(2):
            step()
    times: dict[str, list[float]] = {name: [] for name in steps}
    for number in range(rounds):
        for name in list(steps)[:: 1 if number % 2 else -1]:
            start = now(device)
            steps[name]()
            times[name].append(now(device) - start)
    return {name: np.array(each) for name, each in times.items()}


def now(device: torch.device) -> float:
    """Return the CPU time, or the wall-clock time after the GPU has finished."""
    if device.type == "cuda":
        torch.cuda.synchronize()
        return time.perf_counter()
    return time.process_time()


def table(method: str, times: Mapping[str, Any], names: list[str], note: str = "") -> list[dict[str, str]]:
    """Return rows of the table: medians, and in brackets the quartiles of the ratios."""

    def ratio(name: str, to: str) -> str:
        if to not in times:
            return "-"
        low, middle, high = np.quantile(times[to] / times[name], [0.25, 0.5, 0.75])
        return f"{middle:.2f} ({low:.2f} to {high:.2f})"

    return [
        {
            "method": method,
            "step": name + note,
            "ms": f"{1e3 * np.median(times[name]):.0f}",
            "images/s": f"{IMAGES / np.median(times[name]):.0f}",
            "times as fast as plain": ratio(name, PLAIN),
            "as theirs": ratio(name, "theirs"),
        }
        for name in names
    ]


def pictures() -> Tensor:
    """Return images (100, 1, 150, 150), from 0 to 1, of the simulator of the recipes."""
    source = Job(configuration("deeplense-a-vae", set={"train.accelerator": "cpu"})).training_set
    (images,) = source.by_index(torch.arange(IMAGES)).views
    source.close()
    return images


def ours(method_name: str, options: Mapping[str, Any], images: Tensor) -> Step:
    """Return a training step of the method of a recipe with some options."""
    device = images.device
    accelerator = "gpu" if device.type == "cuda" else "cpu"
    fixed = {"train.batch_size": IMAGES, "train.lenses": IMAGES * 100, "train.accelerator": accelerator}
    job = Job(configuration(f"deeplense-a-{method_name}", set={**fixed, **options}))
    job.training_set.close()
    method = job.method.to(device).train()
    if job.settings.compile:
        with quiet_lightning():
            job.compile(make_trainer(job.settings, 1))
    optimizers: Any = method.configure_optimizers()
    # Lightning takes these values from its loop, which is not timed.
    object.__setattr__(method, "optimizers", lambda: optimizers)
    object.__setattr__(method, "manual_backward", lambda loss: loss.backward())
    if job.settings.channels_last:
        images = images.contiguous(memory_format=torch.channels_last)
    precision, index = job.settings.precision, torch.arange(IMAGES, device=device)

    def step() -> None:
        with torch.autocast(device.type, MIXED.get(precision), precision in MIXED):
            loss = method.training_step(Batch((images,), {}, index), method.batches)["loss"]
        if method.automatic_optimization:
            optimizers.zero_grad()
            loss.backward()
            optimizers.step()
        method.batches += 1

    return step


def theirs_aae(images: Tensor) -> Iterator[None]:
    """Return the step of `Adversarial_AE.train`."""
    nets = importlib.import_module("unsupervised_lensing.models.AAE_Nets")
    encoder, decoder, discriminator = (
        make().to(images.device) for make in (nets.Encoder, nets.Decoder, nets.Discriminator)
    )
    for_encoder, for_decoder, for_discriminator = (
        torch.optim.Adam(part.parameters(), lr=0.001) for part in (encoder, decoder, discriminator)
    )
    for_generator = torch.optim.Adam(encoder.parameters(), lr=0.0001)

    def learn(loss: Tensor, *optimizers: torch.optim.Optimizer) -> None:
        loss.item()
        for optimizer in optimizers:
            optimizer.zero_grad()
        loss.backward()
        for optimizer in optimizers:
            optimizer.step()

    while True:
        learn(F.mse_loss(decoder(encoder(images)), images), for_encoder, for_decoder)
        real = discriminator((torch.randn(IMAGES, 1000) * 5.0).to(images.device))
        fake = discriminator(encoder(images))
        learn(-torch.mean(torch.log(real + 1e-15) + torch.log(1 - fake + 1e-15)), for_discriminator)
        learn(-torch.mean(torch.log(discriminator(encoder(images)) + 1e-15)), for_generator)
        yield


def theirs_vae(images: Tensor) -> Iterator[None]:
    """Return the step of `Variational_AE.train`, with the default `beta` of 0."""
    nets = importlib.import_module("unsupervised_lensing.models.VAE_Nets")
    model = nets.VAE(nets.Encoder(), nets.Decoder())

    def loss(seen: Tensor) -> Tensor:
        outputs, mean, variance = model(seen)
        return F.mse_loss(outputs, seen) + 0 * (-0.5 * torch.sum(1 + variance - mean.pow(2) - variance.exp()))

    return _with_adam(model, images, loss)


def theirs_dcae(images: Tensor) -> Iterator[None]:
    """Return the step of `Convolutional_AE.train`."""
    model = importlib.import_module("unsupervised_lensing.models.DCAE_Nets").DCA()
    return _with_adam(model, images, lambda seen: F.mse_loss(model(seen), seen))


def theirs_rbm(images: Tensor) -> Iterator[None]:
    """Return the step of `RBM_Model.train`."""
    model = importlib.import_module("unsupervised_lensing.models.RBM_Nets").RBM()

    def loss(seen: Tensor) -> Tensor:
        v, sampled, _ = model(seen.view(-1, PIXELS**2))
        return model.free_energy(v) - model.free_energy(sampled)

    return _with_adam(model, images, loss)


def _with_adam(model: nn.Module, images: Tensor, loss: Callable[[Tensor], Tensor]) -> Iterator[None]:
    model.to(images.device)
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3, weight_decay=1e-5)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, total_steps=10**6)
    while True:
        optimizer.zero_grad()
        found = loss(images)
        found.backward()
        optimizer.step()
        scheduler.step()
        found.item()
        yield


THEIRS: Mapping[str, Callable[[Tensor], Iterator[None]]] = {
    "aae": theirs_aae,
    "vae": theirs_vae,
    "dcae": theirs_dcae,
    "rbm": theirs_rbm,
}


if __name__ == "__main__":
    main()
