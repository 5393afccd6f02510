"""Baselines for trained encoders: an untrained encoder, and PCA of the pixels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from torch import Tensor, nn
from torch.nn import functional as F

from lenskit.evaluation import Encoder, LensSet, Rows, to_best_device

RANDOM, PIXELS, CONSTANT = "random", "pixels", "constant"
"""Names of the untrained encoder, of the principal components of the pixels, and of the mean label."""

BEST_CONSTANT = "the best constant"
"""Name of the median of the test labels."""

RANDOM_START, IMAGENET = "random start", "ImageNet"
"""Names of fine-tuning from random weights, and from weights pre-trained on photographs."""

PCA_RESIDUAL, ONE_CLASS = "PCA", "one-class SVM"
"""Names of anomaly detectors: the residual of principal components, and a support vector machine on the components."""

BASELINES = frozenset({RANDOM, PIXELS, CONSTANT, BEST_CONSTANT, RANDOM_START, IMAGENET, PCA_RESIDUAL, ONE_CLASS})
"""Names of all baselines. In tables with baselines, a run with one of these names is labelled with its path."""

SOURCE = "source"
CONTROLS = {SOURCE: "no source", "lens_light": "no lens light"}
"""Names of the controls, by the component of the images that each control omits."""

LARGEST = 64
"""Pixels per side. Larger images are averaged to this size, so that principal components are found in seconds."""

EXPLAINED = 0.99
"""Share of the variance that the principal components explain, unless this needs more components than allowed."""

STATISTICS = 512
"""Minimum number of images to compute batch norm statistics from."""


def untrained(like: Encoder, lenses: LensSet, seed: int) -> Encoder:
    """Return an encoder of the same architecture with random weights.

    The batch norm statistics are computed from images, as in training. Without these statistics, the features would be
    badly scaled and the baseline unfairly weak.

    Args:
        like: Encoder whose architecture and preprocessing to use.
        lenses: Lenses whose images give the batch norm statistics: the first `STATISTICS`, rounded up to a chunk.
        seed: Random seed of the weights.
    """
    encoder = to_best_device(Encoder.untrained(like.card, seed))
    norms = [module for module in encoder.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the average over all batches
        norm.train()
    if not norms:
        return encoder.eval()
    device, seen = next(encoder.parameters()).device, 0
    with torch.no_grad():
        for read in lenses.chunks():
            encoder(read.images.to(device))
            seen += len(read)
            if seen >= STATISTICS:
                break
    return encoder.eval()


class Pixels:
    """Baseline whose features are the preprocessed pixels.

    Images with more than `LARGEST` pixels per side are averaged to this size.

    Args:
        encoder: Encoder whose preprocessing is applied.
    """

    def __init__(self, encoder: Encoder) -> None:
        self.encoder = encoder

    @torch.no_grad()
    def embed(self, images: Tensor, batch_size: int = 256) -> NDArray[np.float32]:
        """Return the preprocessed pixels (n, pixels) of raw images (n, C, H, W)."""
        prepared = self.encoder.preprocess(images.to(next(self.encoder.parameters()).device))
        if prepared.shape[-1] > LARGEST:
            prepared = F.adaptive_avg_pool2d(prepared, LARGEST)
        if images.shape[1] == 1:  # further channels are copies
            prepared = prepared[:, :1]
        return prepared.flatten(1).float().cpu().numpy()


def find_components(pixels: Rows, most: int, seed: int) -> PCA:
    """Fit the principal components of pixels that explain `EXPLAINED` of the variance.

    The remaining components are mostly noise of the training images. A probe standardises its features and would
    amplify this noise.

    Args:
        pixels: Pixels of the training images.
        most: Maximum number of components.
        seed: Random seed of the randomized singular value decomposition.
    """
    # Single precision is enough for pixels, and twice as fast.
    x = pixels.features.astype(np.float32)
    pca = PCA(min(most, *x.shape), svd_solver="randomized", random_state=seed).fit(x)
    enough = int(np.searchsorted(np.cumsum(pca.explained_variance_ratio_), EXPLAINED)) + 1
    pca.n_components_ = min(enough, pca.n_components_)
    pca.components_ = pca.components_[: pca.n_components_]
    pca.explained_variance_ratio_ = pca.explained_variance_ratio_[: pca.n_components_]
    return pca


def in_components(pixels: Rows, components: PCA) -> Rows:
    """Replace pixels (n, pixels) by principal components as the features of images."""
    return replace(pixels, features=components.transform(pixels.features.astype(np.float32)).astype(np.float64))
