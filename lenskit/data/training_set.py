"""The training set: a lens set in training's order, made into pairs."""

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
"""Parameter group of the numbers that a pair strategy draws."""

RESIDENT_BYTES = 2**30
"""Stored images that need no more memory than this are kept there once they are read, if nothing is said."""

ALIKE = 16
"""Simulated lenses that are looked at before training: each is drawn as the others are, and making them takes time."""

NEIGHBOURS = 32
"""Stored lenses, next to each other, that are looked at together."""

LOOK_VALUES = 2**26
"""Most values of stored images that are looked at before training: 256 MiB."""

Keep = Literal["auto", "disk", "memory", "device"]
"""Where stored images are held while they are learned from."""


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

    def takes(self, places: Tensor) -> Tensor:
        """Which of some places (n,) are this process's, whatever the batch: (n,) booleans."""
        return places % self.batch_size % self.world_size == self.rank


class TrainingSet(ABC):
    """Lenses in the order of training, and the views that are made of them.

    A batch is a pure function of its number. The host fetches (numbers of lenses, or pixels from disk), which a loader
    may do ahead; the device that trains makes images and views.

    Args:
        lenses: The lens set.
        pairs: Makes views of the images.
        preprocess: Prepares the images first.
        seed: Seed of the order and of the pairs' draws.
    """

    share: Share | None = None
    """This process's places of each batch, of several processes: only their lenses are read ahead."""

    def __init__(self, lenses: LensSet, pairs: PairStrategy, preprocess: Preprocess, seed: int) -> None:
        check_stated(pairs)
        self.lenses, self.pairs, self.preprocess, self.seed = lenses, pairs, preprocess, seed
        self.parameters, self.image_shape = lenses.parameters, lenses.image_shape
        self.pixel_scale = lenses.pixel_scale
        pairs.prepare(self.parameters, preprocess.shape(self.image_shape))

    def resize(self, size: int | None) -> None:
        """Resize images to another size in pixels than `input.size`, as the backbone takes them; before any batch."""
        self.preprocess.size = size
        self.pairs.prepare(self.parameters, self.preprocess.shape(self.image_shape))

    @abstractmethod
    def fetch(self, places: Tensor) -> dict[str, Any]:
        """Return the host's part of the lenses at these places of the training stream: tensors, by name."""

    @abstractmethod
    def batch(self, fetched: dict[str, Any]) -> Batch:
        """Return the views of fetched lenses, on the device of the fetched tensors."""

    @abstractmethod
    def _sample_rows(self, lenses: int) -> Sequence[int]:
        """Return the rows of about this many lenses that show what all are like."""

    def by_index(self, index: Sequence[int]) -> Batch:
        """Return the views of lenses by their numbers, as the first epoch has them."""
        lenses = self.lenses.read(index, self.pairs.draws)
        numbers = lenses.lens[:: self.pairs.draws]
        return self.views(lenses, KeyedGenerator(self.seed, "train", VIEWS, numbers, torch.zeros_like(numbers)))

    def sample(self, lenses: int) -> Batch:
        """Return the views of about this many lenses, or of all there are."""
        return self.by_index(self._sample_rows(lenses))

    def values(self, lenses: int) -> dict[str, Tensor]:
        """Return the recorded parameters (n,) of the first lenses, on the CPU."""
        values = self.lenses.select(range(self._available(lenses))).values()
        return {name: torch.from_numpy(value).float() for name, value in values.items()}

    def _available(self, lenses: int) -> int:
        return lenses

    def meet(self) -> None:
        """Make the views of a few lenses, which checks simulator or dataset, and pairs, before anything is written.

        Raises:
            LenskitError: One of them breaks its contract.
        """
        self.by_index(range(self._available(LENSES)))

    def check(self, device: torch.device) -> None:  # noqa: B027 - simulated lenses need nothing there
        """Raise a UsageError if batches cannot be made on a device."""

    def to(self, device: torch.device) -> None:
        """Prepare for making batches on a device."""
        self.lenses.to(device)

    def close(self) -> None:  # noqa: B027 - simulated lenses have nothing to stop
        """Stop reading ahead."""

    @torch.no_grad()
    def views(self, lenses: Lenses, rng: KeyedGenerator) -> Batch:
        """Return the views that the pair strategy makes of `pairs.draws` raw images of each lens."""
        return self.pair_up(self.preprocess(lenses.images), lenses.values, rng)

    @torch.no_grad()
    def pair_up(self, prepared: Tensor, values: Mapping[str, Tensor], rng: KeyedGenerator) -> Batch:
        """Return the same views of images that are stretched and resized already.

        Args:
            prepared: (n * draws, channels, height, width).
            values: (n * draws,) of each recorded parameter.
            rng: The pairs' draws.
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
    """Lenses simulated while training: every lens is new, and nothing is stored."""

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
    """Lenses read from a dataset, in an order drawn anew for each pass (see `Order`).

    Args:
        dataset: Reads them.
        pairs: Makes views of the images.
        preprocess: Prepares the images first.
        seed: Seed of the order and of the pairs' draws.
        keep: Where images are held: on `disk`, from which they are read ahead, in `memory` once they are read, or all
            on the `device` that trains. The batches are the same.
        workers: Threads that read ahead.
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
        # The window after, too, unless the batch lies over two or more already: so much is held and no more.
        ahead = range(windows.start, max(windows.stop, windows.start + 2))
        self.cache.want(chunk for window in ahead for chunk in self._chunks_of(window))
        images, parameters = self.cache.lenses(index)
        return fetched | {"images": images, "parameters": parameters}

    def _chunks_of(self, window: int) -> list[int]:
        """The chunks of a window that this process needs: all of them, unless they are so small that others have all
        lenses of some."""
        if self.share is None or self.share.world_size == 1:
            return self.order.chunks_of(window)
        return self.order.chunks_for(window, self.share.takes)

    def _sample_rows(self, lenses: int) -> Sequence[int]:
        # Neighbours, which lie together in most files, from places all over them.
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
        LenskitError: if something in it is wrong, or its data are not there.
    """
    inputs, seed, pairs = config.build("input"), config.build("train").seed, config.build("pairs")
    if "data" in config.sections:
        dataset = config.build("data", Path(config.sections["data"]["path"]))
        preprocess = Preprocess.of(inputs, dataset.pixel_scale)
        return StoredTrainingSet(dataset, pairs, preprocess, seed, keep=inputs.keep, workers=inputs.workers)
    simulator = config.build("simulator")
    return SimulatedTrainingSet(simulator, pairs, Preprocess.of(inputs, simulator.pixel_scale), seed)


def simulator_of(training_set: TrainingSet) -> Simulator | None:
    """Return the simulator of a training set, or the one that made its stored images; None if there is none."""
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
    """Raises if the pairs share groups that the simulator does not draw.

    Raises:
        UsageError: naming them.
    """
    unknown = pairs.shared_groups - set(simulator.groups)
    if unknown:
        raise UsageError(
            f"the pairs share {', '.join(sorted(unknown))}, but the simulator's groups are "
            f"{', '.join(simulator.groups)}"
        )


def _check_views(dataset: Dataset, pairs: PairStrategy) -> None:
    """Raises if the pairs want other images of a lens than the data hold."""
    if pairs.draws > dataset.views:
        raise UsageError(
            f"the pairs want {pairs.draws} images of each lens, the data hold {dataset.views}: "
            "use --pairs default, which makes its views from one"
        )
    if pairs.draws > 1 and pairs.shared_groups != dataset.shared_groups:
        wanted, there = (
            ", ".join(sorted(groups)) or "nothing" for groups in (pairs.shared_groups, dataset.shared_groups)
        )
        raise UsageError(
            f"the pairs share {wanted}, but the images of a lens in the data share {there}: "
            "use data that were simulated for these pairs, or --pairs default, which makes its views from one image"
        )
