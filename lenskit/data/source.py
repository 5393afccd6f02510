"""Where training's batches come from.

A source is a pure function of the number of a batch. What it needs from the host (numbers of lenses, pixels from
disk) it fetches in `fetch`, which a loader may run ahead; what is computed on the device that trains, in `batch`.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lenskit.data.generator import KeyedGenerator
from lenskit.data.preprocess import Preprocess
from lenskit.errors import LenskitError, UsageError
from lenskit.kinds.dataset import Dataset
from lenskit.kinds.pairs import Batch, PairStrategy
from lenskit.kinds.parameter import Parameter
from lenskit.kinds.simulator import Simulator

VIEWS = "views"
"""Parameter group of the numbers that a pair strategy draws."""


RESIDENT_BYTES = 2**30
"""Stored images that need no more memory than this are kept once they are read."""


@dataclass(frozen=True)
class Share:
    """The part of each batch that this process makes: lenses `rank`, `rank + world_size`, ... of `batch_size`."""

    batch_size: int
    rank: int = 0
    world_size: int = 1

    def __post_init__(self) -> None:
        if self.batch_size < self.world_size:
            raise UsageError(
                f"a batch of {self.batch_size} lenses cannot be shared by {self.world_size} processes: "
                f"use --batch-size {self.world_size} or more"
            )

    def of_batch(self, batch: int) -> Tensor:
        """The places in the training stream of this process's lenses: (n,) int64."""
        return torch.arange(self.rank, self.batch_size, self.world_size) + batch * self.batch_size


class Source(ABC):
    """Images of lenses, made into views."""

    parameters: Sequence[Parameter]
    image_shape: tuple[int, int, int]

    def __init__(self, pairs: PairStrategy, preprocess: Preprocess, seed: int) -> None:
        self.pairs, self.preprocess, self.seed = pairs, preprocess, seed

    @abstractmethod
    def fetch(self, places: Tensor) -> dict[str, Any]:
        """What the host contributes for these places in the training stream: tensors, by name."""

    @abstractmethod
    def batch(self, fetched: dict[str, Any]) -> Batch:
        """The views, on the device that the fetched tensors are on."""

    def to(self, device: torch.device) -> None:  # noqa: B027 - most sources hold nothing on a device
        """Prepares for making batches on that device."""

    def _views(self, images: Tensor, parameters: dict[str, Tensor], index: Tensor, view: Tensor) -> Batch:
        n, draws = images.shape[:2]
        prepared = self.preprocess(images.flatten(0, 1)).unflatten(0, (n, draws))
        rng = KeyedGenerator(self.seed, "train", VIEWS, index, view)
        return self.pairs(prepared, parameters, rng)


class LiveSource(Source):
    """Lenses simulated while training: every lens is new, and nothing is stored."""

    def __init__(self, simulator: Simulator, pairs: PairStrategy, preprocess: Preprocess, seed: int) -> None:
        super().__init__(pairs, preprocess, seed)
        unknown = pairs.shared - set(simulator.groups)
        if unknown:
            raise UsageError(
                f"the pairs share {', '.join(sorted(unknown))}, but the simulator's groups are "
                f"{', '.join(simulator.groups)}"
            )
        self.simulator = simulator
        self.parameters, self.image_shape = simulator.parameters, simulator.image_shape

    def to(self, device: torch.device) -> None:
        self.simulator.to(device)

    def fetch(self, places: Tensor) -> dict[str, Any]:
        return {"index": places}

    @torch.no_grad()
    def batch(self, fetched: dict[str, Any]) -> Batch:
        index = fetched["index"]
        draws = self.pairs.draws
        lens = index.repeat_interleave(draws)
        view = torch.arange(draws, device=index.device).repeat(len(index))
        scene = self.simulator.scene(self.seed, "train", lens, view, shared=self.pairs.shared)
        images = self.simulator.render(scene).unflatten(0, (len(index), draws))
        parameters = {p.name: scene[p.name].view(len(index), draws) for p in self.parameters}
        return self._views(images, parameters, index, torch.zeros_like(index))


class StoredSource(Source):
    """Lenses read from a dataset, in an order drawn anew for each pass."""

    def __init__(self, dataset: Dataset, pairs: PairStrategy, preprocess: Preprocess, seed: int) -> None:
        super().__init__(pairs, preprocess, seed)
        if pairs.draws > dataset.views:
            raise UsageError(
                f"the pairs want {pairs.draws} images of each lens, the data hold {dataset.views}: "
                "use --pairs default, which makes its views from one"
            )
        if pairs.draws > 1 and pairs.shared != dataset.shared:
            raise UsageError(
                f"the pairs share {', '.join(sorted(pairs.shared))}, but the images of a lens in the data share "
                f"{', '.join(sorted(dataset.shared)) or 'nothing'}"
            )
        self.dataset = dataset
        self.parameters, self.image_shape = dataset.parameters, dataset.image_shape
        pixels = len(dataset) * dataset.views * math.prod(dataset.image_shape)
        self._resident = 4 * pixels <= RESIDENT_BYTES
        self._read_before: dict[int, tuple[Tensor, dict[str, Tensor]]] = {}

    def fetch(self, places: Tensor) -> dict[str, Any]:
        total = len(self.dataset)
        passes, steps = places // total, places % total
        index = torch.empty_like(places)
        for number in passes.unique().tolist():
            order = np.random.default_rng([self.seed & 0xFFFFFFFF, number]).permutation(total)
            chosen = passes == number
            index[chosen] = torch.from_numpy(order)[steps[chosen]]
        images, parameters = self._read(index.tolist())
        return {"index": index, "pass": passes, "images": images, "parameters": parameters}

    def _read(self, index: list[int]) -> tuple[Tensor, dict[str, Tensor]]:
        """Reads lenses; of a data set that is small enough, each only once."""
        if not self._resident:
            return self.dataset.read(index)
        missing = [number for number in dict.fromkeys(index) if number not in self._read_before]
        if missing:
            images, parameters = self.dataset.read(missing)
            for place, number in enumerate(missing):
                known = {name: values[place].clone() for name, values in parameters.items()}
                self._read_before[number] = images[place].clone(), known
        lenses = [self._read_before[number] for number in index]
        together = {name: torch.stack([known[name] for _, known in lenses]) for name in lenses[0][1]}
        return torch.stack([images for images, _ in lenses]), together

    @torch.no_grad()
    def batch(self, fetched: dict[str, Any]) -> Batch:
        draws = self.pairs.draws
        images = fetched["images"][:, :draws]
        parameters = {name: values[:, None].expand(-1, draws) for name, values in fetched["parameters"].items()}
        return self._views(images, parameters, fetched["index"], fetched["pass"])


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
    """The first image of each lens of a dataset, in order, in chunks."""
    for start in range(0, len(dataset), chunk):
        images, parameters = dataset.read(range(start, min(start + chunk, len(dataset))))
        yield images[:, 0], parameters
