"""Training set: lenses in the order of training, and their views."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from lenskit.config import Config
from lenskit.contracts.pairs import LENSES, check_batch, check_stated, meet_pairs
from lenskit.data.chunk_cache import ChunkCache, check_room, load, size_in_bytes
from lenskit.data.lens_set import Lenses, LensSet
from lenskit.data.order import Order
from lenskit.data.simulated import SimulatedLenses
from lenskit.data.stored import Pixels, StoredLenses
from lenskit.errors import LenskitError, UsageError
from lenskit.generator import KeyedGenerator
from lenskit.kinds.dataset import Dataset
from lenskit.kinds.pairs import Batch, PairStrategy
from lenskit.kinds.simulator import Simulator
from lenskit.preprocessing.preprocess import Preprocess

VIEWS = "views"
"""Parameter group of the random numbers of a pair strategy."""

RESIDENT_BYTES = 2**30
"""With `keep="auto"`, stored images stay in memory if they need at most this number of bytes."""

ALIKE = 16
"""Maximum number of simulated lenses that are examined before training. A few suffice, because all come from the same
distribution, and simulating them takes time."""

NEIGHBOURS = 32
"""Number of neighbouring stored lenses that are examined together."""

LOOK_VALUES = 2**26
"""Maximum number of pixels of stored images that are examined before training: 256 MiB."""

Keep = Literal["auto", "disk", "memory", "device"]
"""Place of stored images during training."""


@dataclass(frozen=True)
class Share:
    """Part of each batch that this process makes.

    The process makes the lenses `rank`, `rank + world_size`, ... of the `batch_size` lenses of a batch.
    """

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
        """Return the places in the training stream of this process's lenses: (n,) int64."""
        return torch.arange(self.rank, self.batch_size, self.world_size) + batch * self.batch_size

    def takes(self, places: Tensor) -> Tensor:
        """Return whether the lens at each place (n,) belongs to this process: (n,)."""
        return places % self.batch_size % self.world_size == self.rank


class TrainingSet(ABC):
    """Lenses in the order of training, and their views.

    A batch is a pure function of its number. The host fetches lens numbers, or pixels from disk; a loader may do this
    ahead of time. The training device then makes images and views.

    Args:
        lenses: The lens set.
        pairs: Pair strategy, which makes views of the images.
        preprocess: Stretch and resizing of the images, before views are made.
        seed: Random seed of the order and of the pair strategy.
    """

    share: Share | None = None
    """Part of each batch that this process makes, if there are several processes. Only its lenses are read ahead."""

    def __init__(self, lenses: LensSet, pairs: PairStrategy, preprocess: Preprocess, seed: int) -> None:
        check_stated(pairs)
        self.lenses, self.pairs, self.preprocess, self.seed = lenses, pairs, preprocess, seed
        self.parameters, self.image_shape = lenses.parameters, lenses.image_shape
        self.pixel_scale = lenses.pixel_scale
        pairs.prepare(self.parameters, preprocess.shape(self.image_shape))

    def resize(self, size: int | None) -> None:
        """Resize images to a size in pixels, in place of `input.size`.

        Backbones that accept only some sizes need this. Call it before the first batch.
        """
        self.preprocess.size = size
        self.pairs.prepare(self.parameters, self.preprocess.shape(self.image_shape))

    @abstractmethod
    def fetch(self, places: Tensor) -> dict[str, Any]:
        """Return numbers or pixels of the lenses at some places of the training stream.

        Returns:
            Tensors by name on the CPU, for `batch`.
        """

    @abstractmethod
    def batch(self, fetched: dict[str, Any]) -> Batch:
        """Return the views of fetched lenses, on the device of the fetched tensors."""

    @abstractmethod
    def _sample_rows(self, lenses: int) -> Sequence[int]:
        """Return the rows of a representative sample of at most about `lenses` lenses."""

    def by_index(self, index: Sequence[int]) -> Batch:
        """Return the views of lenses by their numbers, the same as in the first epoch."""
        lenses = self.lenses.read(index, self.pairs.draws)
        numbers = lenses.lens[:: self.pairs.draws]
        return self.views(lenses, KeyedGenerator(self.seed, "train", VIEWS, numbers, torch.zeros_like(numbers)))

    def sample(self, lenses: int) -> Batch:
        """Return the views of a representative sample of at most about `lenses` lenses."""
        return self.by_index(self._sample_rows(lenses))

    def values(self, lenses: int) -> dict[str, Tensor]:
        """Return the recorded parameters (n,) of the first lenses, on the CPU."""
        values = self.lenses.select(range(self._available(lenses))).values()
        return {name: torch.from_numpy(value).float() for name, value in values.items()}

    def _available(self, lenses: int) -> int:
        return lenses

    def meet(self) -> None:
        """Check the contracts of simulator, dataset and pairs with a few lenses.

        Call this before any file is written.

        Raises:
            LenskitError: A component breaks its contract.
        """
        self.by_index(range(self._available(LENSES)))

    def check(self, device: torch.device) -> None:  # noqa: B027 - simulated lenses need no memory there
        """Check that batches can be made on a device.

        Raises:
            UsageError: The device has too little memory.
        """

    def to(self, device: torch.device) -> None:
        """Prepare to make batches on a device."""
        self.lenses.to(device)

    def close(self) -> None:  # noqa: B027 - simulated lenses have nothing to stop
        """Stop reading ahead."""

    @torch.no_grad()
    def views(self, lenses: Lenses, rng: KeyedGenerator) -> Batch:
        """Return the views of lenses, made from `pairs.draws` raw images of each lens."""
        return self.pair_up(self.preprocess(lenses.images), lenses.values, rng)

    @torch.no_grad()
    def pair_up(self, prepared: Tensor, values: Mapping[str, Tensor], rng: KeyedGenerator) -> Batch:
        """Return the views of images that are already stretched and resized.

        Args:
            prepared: (n * draws, channels, height, width).
            values: Values (n * draws,) of each recorded parameter by name.
            rng: Random numbers of the pair strategy.
        """
        draws = self.pairs.draws
        images, known = (
            prepared.unflatten(0, (-1, draws)),
            {name: value.view(-1, draws) for name, value in values.items()},
        )
        meet_pairs(self.pairs, images, known, rng)
        batch = self.pairs(images, dict(known), rng)
        check_batch(self.pairs, batch, self.pairs.views, known, rng.index)
        return batch


class SimulatedTrainingSet(TrainingSet):
    """Lenses that are simulated during training.

    Every lens is new, and no image is stored.
    """

    lenses: SimulatedLenses

    def __init__(self, simulator: Simulator, pairs: PairStrategy, preprocess: Preprocess, seed: int) -> None:
        check_groups(pairs, simulator)
        super().__init__(
            SimulatedLenses(simulator, seed=seed, split="train", shared_groups=pairs.shared_groups),
            pairs,
            preprocess,
            seed,
        )

    def fetch(self, places: Tensor) -> dict[str, Any]:
        return {"index": places}

    def _sample_rows(self, lenses: int) -> Sequence[int]:
        return range(min(lenses, ALIKE))

    def batch(self, fetched: dict[str, Any]) -> Batch:
        index = fetched["index"]
        lenses = self.lenses.render(index, self.pairs.draws)
        return self.views(lenses, KeyedGenerator(self.seed, "train", VIEWS, index, torch.zeros_like(index)))


class StoredTrainingSet(TrainingSet):
    """Lenses of a dataset, in a new random order in each pass (see `Order`).

    Args:
        dataset: The dataset.
        pairs: Pair strategy, which makes views of the images.
        preprocess: Stretch and resizing of the images, before views are made.
        seed: Random seed of the order and of the pair strategy.
        keep: Place of the images: on `disk`, with reading ahead; in `memory` after they were read; or all on the
            training `device`. With `auto`, they are kept in memory if they need at most 1 GiB, otherwise on disk. The
            batches do not depend on the place.
        workers: Number of threads that read ahead.
    """

    lenses: StoredLenses

    def __init__(
        self,
        dataset: Dataset,
        pairs: PairStrategy,
        preprocess: Preprocess,
        seed: int,
        *,
        keep: Keep = "auto",
        workers: int = 2,
    ) -> None:
        lenses = StoredLenses(dataset)
        _check_views(dataset, pairs)
        super().__init__(lenses, pairs, preprocess, seed)
        self.dataset, self.keep = dataset, keep
        if keep == "auto":
            self.keep = "memory" if size_in_bytes(dataset, pairs.draws) <= RESIDENT_BYTES else "disk"
        self.order = Order(len(dataset), dataset.chunk, seed)
        self.cache = ChunkCache(dataset, self.order, pairs.draws, workers, keep=self.keep == "memory")
        self._all: Pixels | None = None

    def check(self, device: torch.device) -> None:
        if self.keep in ("memory", "device"):
            check_room(self.dataset, self.pairs.draws, device if self.keep == "device" else torch.device("cpu"))

    def to(self, device: torch.device) -> None:
        if self.keep == "device" and (self._all is None or self._all[0].device != device):
            self._all = load(self.dataset, self.pairs.draws, device)

    def close(self) -> None:
        self.cache.close()

    def _available(self, lenses: int) -> int:
        return min(lenses, len(self.dataset))

    def fetch(self, places: Tensor) -> dict[str, Any]:
        index, windows = self.order.at(places)
        fetched = {"index": index, "pass": places // len(self.dataset)}
        if self.keep == "device":
            return fetched
        # Also read the next window, unless the batch covers two windows or more. This bounds the memory.
        ahead = range(windows.start, max(windows.stop, windows.start + 2))
        self.cache.want(chunk for window in ahead for chunk in self._chunks_of(window))
        images, parameters = self.cache.lenses(index)
        return fetched | {"images": images, "parameters": parameters}

    def _chunks_of(self, window: int) -> list[int]:
        """Return the chunks of a window that this process needs.

        If chunks are small, all lenses of a chunk may belong to other processes.
        """
        if self.share is None or self.share.world_size == 1:
            return self.order.chunks_of(window)
        return self.order.chunks_for(window, self.share.takes)

    def _sample_rows(self, lenses: int) -> Sequence[int]:
        # Read blocks of neighbours, which most files store together, from evenly spaced places.
        total, values = len(self.dataset), self.pairs.draws * math.prod(self.image_shape)
        blocks = range(0, total, NEIGHBOURS)
        wanted = min(len(blocks), max(min(lenses, LOOK_VALUES // values) // NEIGHBOURS, 1))
        chosen = [blocks[place] for place in torch.linspace(0, len(blocks) - 1, wanted).long().tolist()]
        return [lens for start in chosen for lens in range(start, min(start + NEIGHBOURS, total))]

    def batch(self, fetched: dict[str, Any]) -> Batch:
        index = fetched["index"]
        if self.keep == "device":
            self.to(index.device)
            assert self._all is not None
            images, parameters = (tensor.index_select(0, index) for tensor in self._all)
        else:
            images, parameters = fetched["images"], fetched["parameters"]
        rng = KeyedGenerator(self.seed, "train", VIEWS, index, fetched["pass"])
        return self.views(self.lenses.made_of(images, parameters, index), rng)


def training_set_of(config: Config) -> TrainingSet:
    """Return the training set of a configuration.

    Raises:
        LenskitError: The configuration is invalid, or its data do not exist.
    """
    inputs, seed, pairs = config.build("input"), config.build("train").seed, config.build("pairs")
    if "data" in config.sections:
        dataset = config.build("data", Path(config.sections["data"]["path"]))
        preprocess = Preprocess.of(inputs, dataset.pixel_scale)
        return StoredTrainingSet(dataset, pairs, preprocess, seed, keep=inputs.keep, workers=inputs.workers)
    simulator = config.build("simulator")
    return SimulatedTrainingSet(simulator, pairs, Preprocess.of(inputs, simulator.pixel_scale), seed)


def simulator_of(training_set: TrainingSet) -> Simulator | None:
    """Return the simulator of a training set, or of its stored images.

    Return None if the stored images have no usable configuration.
    """
    if isinstance(training_set, SimulatedTrainingSet):
        return training_set.lenses.simulator
    assert isinstance(training_set, StoredTrainingSet)
    made = training_set.dataset.configuration or {}
    try:
        simulator = Config.resolve({"simulator": made["simulator"]}, only=("simulator",)).build("simulator")
    except (KeyError, LenskitError):
        return None
    fits = simulator.image_shape == training_set.image_shape and training_set.pairs.shared_groups <= set(
        simulator.groups
    )
    return simulator if fits else None


def check_groups(pairs: PairStrategy, simulator: Simulator) -> None:
    """Check that the simulator has all groups that the pairs share.

    Raises:
        UsageError: The simulator lacks groups, which the message names.
    """
    unknown = pairs.shared_groups - set(simulator.groups)
    if unknown:
        raise UsageError(
            f"the pairs share {', '.join(sorted(unknown))}, but the simulator's groups are "
            f"{', '.join(simulator.groups)}"
        )


def _check_views(dataset: Dataset, pairs: PairStrategy) -> None:
    """Check that the data hold the images of each lens that the pairs need.

    Raises:
        UsageError: The data hold fewer images of a lens, or these images share different groups.
    """
    if pairs.draws > dataset.views:
        raise UsageError(
            f"the pairs need {pairs.draws} images of each lens, but the data hold {dataset.views}: "
            "use --pairs default, which makes its views from one image"
        )
    if pairs.draws > 1 and pairs.shared_groups != dataset.shared_groups:
        wanted, there = (
            ", ".join(sorted(groups)) or "nothing" for groups in (pairs.shared_groups, dataset.shared_groups)
        )
        raise UsageError(
            f"the pairs share {wanted}, but the images of a lens in the data share {there}: "
            "use data that were simulated for these pairs, or --pairs default, which makes its views from one image"
        )
