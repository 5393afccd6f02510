"""The two sides that `lenskit invariance` weighs against each other, and what it weighs runs against."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from lenskit.plugin import Chunk, Encoder, Parameter
from lenskit_evaluation.splits import Rows, Split

COMPONENTS = 256
"""Principal components of the pixels that are kept."""

LARGEST = 64
"""Height and width, in pixels, to which larger images are averaged first."""


def headline(parameters: Iterable[Parameter]) -> set[str]:
    """The groups of the parameters that count."""
    return {parameter.group for parameter in parameters if parameter.headline}


def sides(parameters: Iterable[Parameter], groups: Sequence[str]) -> tuple[list[Parameter], list[Parameter]]:
    """The parameters that are to be kept, and the others; numbers of things, such as stamps, are neither."""
    known = [parameter for parameter in parameters if not parameter.identity]
    return [p for p in known if p.group in groups], [p for p in known if p.group not in groups]


def truths(rows: Rows, parameters: Sequence[Parameter]) -> Rows:
    """Lenses with their true parameters in place of features; their mean where one is not known."""
    columns = []
    for parameter in parameters:
        values = rows.values[parameter.name]
        if parameter.classes:
            columns.append((values[:, None] == np.arange(len(parameter.classes))).astype(np.float64))
        elif np.isfinite(values).any():
            columns.append(np.where(np.isfinite(values), values, np.nanmean(values))[:, None])
    features = np.concatenate(columns, axis=1) if columns else np.zeros((len(rows), 1))
    return Rows(features, rows.values, rows.lens, rows.names)


class Pixels:
    """Images as an encoder takes them, pixel by pixel: what a representation is measured against.

    Args:
        like: The encoder.
    """

    def __init__(self, like: Encoder) -> None:
        self.preprocess = like.preprocess

    @torch.inference_mode()
    def embed(
        self, chunks: Iterable[Chunk], batch_size: int = 256
    ) -> tuple[NDArray[np.float32], dict[str, NDArray[np.float64]]]:
        """Pixels (n, channels x height x width) of images."""
        rows = []
        for images, _ in chunks:
            prepared = self.preprocess(images)
            height, width = prepared.shape[-2:]
            size = (min(height, LARGEST), min(width, LARGEST))
            rows.append(F.adaptive_avg_pool2d(prepared, size).flatten(1).float().cpu().numpy())
        return np.concatenate(rows), {}


def principal(split: Split, seed: int) -> Split:
    """The same with the features' principal components about their mean, `COMPONENTS` at most and fewer than images."""
    from sklearn.decomposition import PCA

    pixels = split.train.features
    # Of the last of as many components as images nothing is left but rounding.
    most = min(COMPONENTS, len(pixels) // 2, pixels.shape[1])
    pca = PCA(most, random_state=seed).fit(pixels)
    train, test = (
        Rows(pca.transform(side.features), side.values, side.lens, side.names) for side in (split.train, split.test)
    )
    return Split(train, test, split.parameters)
