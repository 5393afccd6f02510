"""One image of each lens, simulated or stored, some lenses at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor

from lenskit.data.held import read_lenses
from lenskit.errors import LenskitError
from lenskit.kinds.dataset import Dataset
from lenskit.kinds.simulator import Simulator

Chunk = tuple[Tensor, dict[str, Tensor]]
"""Images (n, C, H, W) and their parameters, (n,) each."""


@torch.no_grad()
def simulated(
    simulator: Simulator,
    *,
    seed: int,
    split: str,
    lenses: int,
    without: Iterable[str] = (),
    chunk: int = 256,
    device: torch.device | str = "cpu",
) -> Iterator[Chunk]:
    """One image each of the first `lenses` lenses of a split, in chunks.

    Args:
        simulator: What draws and renders.
        seed: Seed of the lenses.
        split: Part of the data; training uses `train`.
        lenses: How many.
        without: Groups whose light is left out, of `simulator.removable`.
        chunk: Lenses at a time.
        device: Where the images are made.
    """
    without = frozenset(without)
    if not without <= simulator.removable:
        raise LenskitError(f"this simulator cannot leave out {', '.join(sorted(without - simulator.removable))}")
    simulator.to(device)
    for start in range(0, lenses, chunk):
        index = torch.arange(start, min(start + chunk, lenses), device=device)
        scene = simulator.scene(seed, split, index)
        yield simulator.render(scene, without), {p.name: scene[p.name] for p in simulator.parameters}


def stored(dataset: Dataset, chunk: int = 256) -> Iterator[Chunk]:
    """The first image of each lens of a dataset, in order.

    Args:
        dataset: What is read.
        chunk: About so many lenses at a time: whole chunks of the dataset.
    """
    check_complete(dataset)
    step = max(chunk // dataset.chunk, 1) * dataset.chunk
    for start in range(0, len(dataset), step):
        images, known = read_lenses(dataset, range(start, min(start + step, len(dataset))), draws=1)
        yield images[:, 0], {parameter.name: known[:, 0, i] for i, parameter in enumerate(dataset.parameters)}


def check_complete(dataset: Dataset) -> None:
    """Raises if there is nothing to read, or not yet everything.

    Raises:
        LenskitError: saying how much is missing.
    """
    if not len(dataset):
        raise LenskitError("the data hold no lenses")
    if dataset.missing:
        raise LenskitError(
            f"the data are incomplete: {dataset.missing} of {len(dataset)} lenses are still to be written "
            "(the same `lenskit simulate` goes on where it stopped)"
        )
    if dataset.unfinished:
        raise LenskitError(f"the data are incomplete: {dataset.unfinished}")
