"""Computation of features of a lens set by one or several encoders."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lenskit.data.lens_set import CHUNK, LensSet, join_values
from lenskit.embeddings.embeddings import Embeddings


class Embedder(Protocol):
    """Encoder, or any object with the method `embed`."""

    def embed(self, images: Tensor, batch_size: int = 256) -> NDArray[np.float32]:
        """Return features (n, d) of raw images (n, channels, height, width)."""


Name = TypeVar("Name", bound=str)


def embed(
    embedders: Mapping[Name, Embedder], lenses: LensSet, omit: Iterable[str] = (), batch_size: int = CHUNK
) -> dict[Name, Embeddings]:
    """Return the features of the first image of each lens.

    Images are simulated or read only once for all encoders.

    Args:
        embedders: The encoders by name.
        lenses: The lenses.
        omit: Groups of `lenses.removable` whose light is left out.
        batch_size: Number of images that are embedded at a time.

    Raises:
        UsageError: Features are not finite.
        LenskitError: An image cannot be read, or a group cannot be left out.
    """
    features: dict[Name, list[NDArray[np.float32]]] = {name: [] for name in embedders}
    values: list[dict[str, NDArray[np.float64]]] = []
    for read in lenses.chunks(batch_size, omit=omit):
        for name, embedder in embedders.items():
            features[name].append(embedder.embed(read.images, batch_size))
        values.append(read.arrays())
    if not len(lenses):
        nothing = torch.empty(0, *lenses.image_shape)
        features = {name: [embedder.embed(nothing)] for name, embedder in embedders.items()}
    joined, names, parameters = join_values(values), lenses.names, lenses.parameters
    return {
        name: Embeddings(
            np.concatenate(parts), joined, parameters=parameters, lens=np.asarray(lenses.index), names=names
        )
        for name, parts in features.items()
    }
