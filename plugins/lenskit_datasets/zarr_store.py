"""Reader of simulated images in a Zarr store."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lenskit.plugin import Parameter
from lenskit.toolbox import Store, is_store
from lenskit_datasets.reader import Reader
from lenskit_datasets.simulated import Numbered, follow_plan


class ZarrStore(Reader):
    """Store of `lenskit simulate`: images, their parameters and the configuration.

    Args:
        path: Folder of the store.
    """

    accepts = "a Zarr store that `lenskit simulate` wrote"

    def __init__(self, path: str | Path, **options: Any) -> None:
        super().__init__(**options)
        self.store = Store(path)
        plan = self.store.plan
        follow_plan(self, plan)
        self.names = Numbered(plan["lenses"])
        self.missing = sum(len(plan.lenses_of(chunk)) for chunk in self.store.missing())
        if not self.missing and not self.store.complete:
            self.unfinished = f"all chunks are there, but parameters are not collected: run {self.store.finish_with}"
        self._values: dict[str, Tensor] = {}

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Whether a path is a Zarr group of simulated pairs, of any version."""
        return is_store(path)

    def read(self, index: Sequence[int]) -> tuple[Tensor, dict[str, Tensor]]:
        """Read images and parameters; see `Dataset.read`.

        Chunks are read as a whole, so reading adjacent lenses together is fastest.

        Raises:
            LenskitError: A chunk is missing or damaged, or the store is incomplete.
        """
        # Parameters come first, because they raise for an incomplete store.
        values = self.read_parameters(index)
        images = self._images(np.asarray(index, dtype=np.int64))
        self.mark(images.numpy())
        return images, values

    def read_into(self, images: Tensor, index: Sequence[int]) -> dict[str, Tensor]:
        """Read images into a tensor; see `Dataset.read_into`.

        Whole chunks of float32 are read from their files without an additional copy.
        """
        chunks = self._whole_chunks(index)
        if not chunks or images.shape[1] != self.views or self.stored_as != "float32":
            return super().read_into(images, index)
        values = self.read_parameters(index)
        for chunk, part in zip(chunks, images.split(self.chunk), strict=True):
            self.store.read(chunk, into=part.numpy())
        self.mark(images.numpy())
        return values

    def _whole_chunks(self, index: Sequence[int]) -> list[int]:
        """Return the chunks that lenses fill entirely and in order, else an empty list."""
        wanted = np.asarray(index, dtype=np.int64)
        if len(wanted) % self.chunk:
            return []
        parts = wanted.reshape(-1, self.chunk)
        chunks = parts[:, 0] // self.chunk
        return chunks.tolist() if (parts == chunks[:, None] * self.chunk + np.arange(self.chunk)).all() else []

    def read_parameters(self, index: Sequence[int]) -> dict[str, Tensor]:
        """Return parameters without reading images; see `Dataset.read_parameters`."""
        wanted = torch.from_numpy(np.asarray(index, dtype=np.int64))
        return {parameter.name: self._known(parameter)[wanted] for parameter in self.parameters}

    def _images(self, wanted: np.ndarray[Any, Any]) -> Tensor:
        images = torch.empty(len(wanted), self.views, *self.image_shape)
        chunks = wanted // self.chunk
        for chunk in np.unique(chunks):
            block = torch.from_numpy(self.store.read(int(chunk)))
            (places,) = np.nonzero(chunks == chunk)
            steps = wanted[places] - chunk * self.chunk
            if np.array_equal(steps, np.arange(len(block))) and len(wanted) == len(block):
                return block.to(torch.float32)
            images[places] = block[steps].to(torch.float32)
        return images

    def _known(self, parameter: Parameter) -> Tensor:
        if parameter.name not in self._values:
            self._values[parameter.name] = torch.from_numpy(self.store.values(parameter).astype(np.float32))
        return self._values[parameter.name]

    def check(self) -> Iterator[tuple[str, str]]:
        """Check the chunks and the parameters; see `Dataset.check`.

        Simulated images have undefined pixels only with the option `blank`; then the images are read too.
        """
        return chain(self.store.check(), super().check()) if len(self._blank) else self.store.check()
