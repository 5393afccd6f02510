"""Gradients of a batch in one process, and in two processes that share it."""

from __future__ import annotations

import multiprocessing
import os
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor, distributed, nn

from lenskit.config import Config
from lenskit.errors import LenskitError
from lenskit.layers import read_layer
from lenskit.training.runner import Job

PATIENCE = timedelta(minutes=2)
"""Longest time that a process waits for the other."""

Gradients = dict[str, Tensor]
"""Gradient of each weight by name."""


def gradients_of_one(toml: str, lenses: int) -> Gradients:
    """Return the gradients of the first batch in this process.

    Args:
        toml: Configuration of the training.
        lenses: Lenses in the batch.
    """
    return _gradients(toml, range(lenses))


def gradients_of_two(toml: str, lenses: int) -> Gradients:
    """Return the mean gradients of two new processes.

    Each has half of the first batch.

    Args:
        toml: Configuration of the training.
        lenses: Lenses in the batch, an even number.

    Raises:
        LenskitError: A process failed.
    """
    context = _context()
    with TemporaryDirectory(prefix="lenskit-processes-") as name:
        folder = Path(name)
        # The file is new for each call; an address could be in use.
        workers = [
            context.Process(target=_work, args=(rank, toml, lenses, str(folder), dict(os.environ))) for rank in (0, 1)
        ]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        if any(worker.exitcode for worker in workers):
            errors = [file.read_text(encoding="utf-8") for file in sorted(folder.glob("error-*"))]
            raise LenskitError(f"a step in two processes failed: {' '.join(errors) or 'a process was killed'}")
        found: Gradients = torch.load(folder / "gradients.pt", weights_only=True)
    return found


def _context() -> Any:
    """Return the way to start processes.

    A server imports torch once, and forks new processes from itself. It runs no other code, so a fork is safe. Windows
    has no such server: there each process imports torch, which takes seconds.
    """
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    return context


def _work(rank: int, toml: str, lenses: int, folder: str, environment: dict[str, str]) -> None:
    """Compute the gradients of one process, and write their mean."""
    try:
        os.environ.update(environment)  # the server may be older than a change of a variable
        os.environ["GLOO_SOCKET_IFNAME"] = os.environ.get("GLOO_SOCKET_IFNAME", "lo")
        distributed.init_process_group(
            "gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2, timeout=PATIENCE
        )
        gradients = _gradients(toml, range(rank, lenses, 2))
        for gradient in gradients.values():
            distributed.all_reduce(gradient)
            gradient /= 2
        if rank == 0:
            torch.save(gradients, Path(folder, "gradients.pt"))
        distributed.barrier()
        distributed.destroy_process_group()
    except Exception as error:
        Path(folder, f"error-{rank}").write_text(" ".join(str(error).split()), encoding="utf-8")
        raise SystemExit(1) from error


def _gradients(toml: str, index: range) -> Gradients:
    """Return the gradients for some lenses of the first batch."""
    with TemporaryDirectory(prefix="lenskit-processes-") as name:
        file = Path(name, "run.toml")
        file.write_text(toml, encoding="utf-8")
        config = Config.resolve(read_layer(file))
    job = Job(config)
    for module in job.method.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm | nn.modules.dropout._DropoutNd):
            module.eval()
    batch = job.training_set.by_index(index)
    batch.views = tuple(view.double() for view in batch.views)
    batch.parameters = {name: value.double() for name, value in batch.parameters.items()}
    torch.manual_seed(0)
    job.method.step(batch)["loss"].backward()
    return {name: p.grad for name, p in job.method.named_parameters() if p.grad is not None}
