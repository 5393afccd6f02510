"""Where training's batches come from.

A source is a pure function of the number of a batch. What it needs from the host (numbers of lenses, pixels from
disk) it fetches in `fetch`, which a loader may run ahead; what is computed on the device that trains, in `batch`.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from lenskit.config import Config
from lenskit.data.held import Chunks, Lenses, check_room, load, read_lenses, size_in_bytes
from lenskit.data.images import check_complete
from lenskit.data.order import Order
from lenskit.errors import LenskitError, UsageError
from lenskit.generator import KeyedGenerator
from lenskit.kinds.dataset import Dataset
from lenskit.kinds.pairs import Batch, PairStrategy
from lenskit.kinds.parameter import Parameter
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


class Source(ABC):
    """Images of lenses, made into views."""

    parameters: Sequence[Parameter]
    image_shape: tuple[int, int, int]

    pixel_scale: float | None = None
    """Size of a pixel of the images in arcsec, where it is known."""

    share: Share | None = None
    """The places that will be asked for, of several processes': what others use need not be read ahead."""

    def __init__(self, pairs: PairStrategy, preprocess: Preprocess, seed: int) -> None:
        self.pairs, self.preprocess, self.seed = pairs, preprocess, seed

    @abstractmethod
    def fetch(self, places: Tensor) -> dict[str, Any]:
        """What the host contributes for these places in the training stream: tensors, by name."""

    @abstractmethod
    def batch(self, fetched: dict[str, Any]) -> Batch:
        """The views, on the device that the fetched tensors are on."""

    @abstractmethod
    def of(self, index: Tensor) -> Batch:
        """The views of these lenses, by their numbers, as training first sees them; on the CPU."""

    @abstractmethod
    def some(self, lenses: int) -> Batch:
        """The views of about so many lenses, or of all there are: for a look at what they are like; on the CPU."""

    @abstractmethod
    def truth(self, lenses: int) -> dict[str, Tensor]:
        """The recorded parameters of the first so many lenses, or of all there are: (n,) each, on the CPU."""

    def check(self, device: torch.device) -> None:  # noqa: B027 - most sources need little there
        """Raises a UsageError if the source cannot make batches on that device."""

    def to(self, device: torch.device) -> None:  # noqa: B027 - most sources hold nothing on a device
        """Prepares for making batches on that device."""

    def close(self) -> None:  # noqa: B027 - most sources have nothing to stop
        """Stops what runs ahead."""

    def _views(self, images: Tensor, parameters: dict[str, Tensor], index: Tensor, view: Tensor) -> Batch:
        n, draws = images.shape[:2]
        prepared = self.preprocess(images.flatten(0, 1)).unflatten(0, (n, draws))
        rng = KeyedGenerator(self.seed, "train", VIEWS, index, view)
        return self.pairs(prepared, parameters, rng)


class LiveSource(Source):
    """Lenses simulated while training: every lens is new, and nothing is stored."""

    def __init__(self, simulator: Simulator, pairs: PairStrategy, preprocess: Preprocess, seed: int) -> None:
        super().__init__(pairs, preprocess, seed)
        check_groups(pairs, simulator)
        self.simulator = simulator
        self.parameters, self.image_shape = simulator.parameters, simulator.image_shape
        self.pixel_scale = simulator.pixel_scale
        pairs.prepare(self.parameters, preprocess.shape(self.image_shape))

    def to(self, device: torch.device) -> None:
        self.simulator.to(device)

    def fetch(self, places: Tensor) -> dict[str, Any]:
        return {"index": places}

    def of(self, index: Tensor) -> Batch:
        return self.batch({"index": index})

    def some(self, lenses: int) -> Batch:
        return self.of(torch.arange(min(lenses, ALIKE)))

    @torch.no_grad()
    def truth(self, lenses: int) -> dict[str, Tensor]:
        scene = self.simulator.scene(self.seed, "train", torch.arange(lenses))
        return {p.name: scene[p.name] for p in self.parameters}

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
    """Lenses read from a dataset, in an order drawn anew for each pass (see `Order`).

    Args:
        dataset: What is read.
        pairs: What is made of it.
        preprocess: What is done to the images first.
        seed: Seed of the order and of what the pairs draw.
        keep: Where images are held: on `disk`, from which they are read ahead, in `memory` once they are read, or all
            on the `device` that trains. It changes nothing of what comes.
        workers: Threads that read ahead.
    """

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
        super().__init__(pairs, preprocess, seed)
        check_complete(dataset)
        _check_views(dataset, pairs)
        self.dataset = dataset
        self.parameters, self.image_shape = dataset.parameters, dataset.image_shape
        self.pixel_scale = dataset.pixel_scale
        pairs.prepare(self.parameters, preprocess.shape(self.image_shape))
        self.keep = keep
        if keep == "auto":
            self.keep = "memory" if size_in_bytes(dataset, pairs.draws) <= RESIDENT_BYTES else "disk"
        self.order = Order(len(dataset), dataset.chunk, seed)
        self.chunks = Chunks(dataset, self.order, pairs.draws, workers, keep=self.keep == "memory")
        self._all: Lenses | None = None

    def check(self, device: torch.device) -> None:
        if self.keep in ("memory", "device"):
            check_room(self.dataset, self.pairs.draws, device if self.keep == "device" else torch.device("cpu"))

    def to(self, device: torch.device) -> None:
        if self.keep == "device" and (self._all is None or self._all[0].device != device):
            self._all = load(self.dataset, self.pairs.draws, device)

    def close(self) -> None:
        self.chunks.close()

    def truth(self, lenses: int) -> dict[str, Tensor]:
        values = self.dataset.read_parameters(range(min(lenses, len(self.dataset))))
        return {name: value if value.ndim == 1 else value[:, 0] for name, value in values.items()}

    def fetch(self, places: Tensor) -> dict[str, Any]:
        index, windows = self.order.at(places)
        fetched = {"index": index, "pass": places // len(self.dataset)}
        if self.keep == "device":
            return fetched
        # The window after, too, unless the batch lies over two or more already: so much is held and no more.
        ahead = range(windows.start, max(windows.stop, windows.start + 2))
        self.chunks.want(chunk for window in ahead for chunk in self._chunks_of(window))
        images, known = self.chunks.lenses(index)
        return fetched | {"images": images, "parameters": known}

    def _chunks_of(self, window: int) -> list[int]:
        """The chunks of a window that this process needs: all of them, unless they are so small that others have all
        lenses of some."""
        if self.share is None or self.share.world_size == 1:
            return self.order.chunks_of(window)
        return self.order.chunks_for(window, self.share.takes)

    def of(self, index: Tensor) -> Batch:
        images, known = self.chunks.lenses(index)
        return self._make(images, known, index, torch.zeros_like(index))

    def some(self, lenses: int) -> Batch:
        # Neighbours, which lie together in most files, from places all over them; nothing of them is held.
        total, values = len(self.dataset), self.pairs.draws * math.prod(self.image_shape)
        blocks = range(0, total, NEIGHBOURS)
        wanted = min(len(blocks), max(min(lenses, LOOK_VALUES // values) // NEIGHBOURS, 1))
        chosen = [blocks[place] for place in torch.linspace(0, len(blocks) - 1, wanted).long().tolist()]
        parts = [range(start, min(start + NEIGHBOURS, total)) for start in chosen]
        read = [read_lenses(self.dataset, part, self.pairs.draws) for part in parts]
        images, known = (torch.cat(each) for each in zip(*read, strict=True))
        index = torch.tensor([lens for part in parts for lens in part])
        return self._make(images, known, index, torch.zeros_like(index))

    @torch.no_grad()
    def batch(self, fetched: dict[str, Any]) -> Batch:
        index = fetched["index"]
        if self.keep == "device":
            self.to(index.device)
            assert self._all is not None
            images, known = (each.index_select(0, index) for each in self._all)
        else:
            images, known = fetched["images"], fetched["parameters"]
        return self._make(images, known, index, fetched["pass"])

    def _make(self, images: Tensor, known: Tensor, index: Tensor, view: Tensor) -> Batch:
        parameters = {parameter.name: known[..., i] for i, parameter in enumerate(self.parameters)}
        return self._views(images, parameters, index, view)


def source_of(config: Config) -> Source:
    """Where the batches come from that a configuration trains on.

    Raises:
        LenskitError: if something in it is wrong, or its data are not there.
    """
    inputs, seed, pairs = config.build("input"), config.build("train").seed, config.build("pairs")
    if "data" in config.sections:
        dataset = config.build("data", Path(config.sections["data"]["path"]))
        preprocess = Preprocess.of(inputs, dataset.pixel_scale)
        return StoredSource(dataset, pairs, preprocess, seed, keep=inputs.keep, workers=inputs.workers)
    simulator = config.build("simulator")
    return LiveSource(simulator, pairs, Preprocess.of(inputs, simulator.pixel_scale), seed)


def simulator_of(source: Source) -> Simulator | None:
    """Return the simulator of a source, or the one that made its stored images; None if there is none."""
    if isinstance(source, LiveSource):
        return source.simulator
    assert isinstance(source, StoredSource)
    made = source.dataset.configuration or {}
    try:
        simulator = Config.resolve({"simulator": made["simulator"]}, only=("simulator",)).build("simulator")
    except (KeyError, LenskitError):
        return None
    fits = simulator.image_shape == source.image_shape and source.pairs.shared <= set(simulator.groups)
    return simulator if fits else None


def check_groups(pairs: PairStrategy, simulator: Simulator) -> None:
    """Raises if the pairs share groups that the simulator does not draw.

    Raises:
        UsageError: naming them.
    """
    unknown = pairs.shared - set(simulator.groups)
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
    if pairs.draws > 1 and pairs.shared != dataset.shared:
        wanted, there = (", ".join(sorted(groups)) or "nothing" for groups in (pairs.shared, dataset.shared))
        raise UsageError(
            f"the pairs share {wanted}, but the images of a lens in the data share {there}: "
            "use data that were simulated for these pairs, or --pairs default, which makes its views from one image"
        )
