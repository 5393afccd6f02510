"""What a trained encoder is held against: one that was never trained, and the pixels themselves."""

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
"""Names of the encoder that was never trained, of the principal components of the pixels, and of the mean label."""

BEST_CONSTANT = "the best constant"
"""Name of the median of the labels that are judged on."""

RANDOM_START, IMAGENET = "random start", "ImageNet"
"""Names of fine-tuning that starts from random weights, and from weights learned from photographs."""

PCA_RESIDUAL, ONE_CLASS = "PCA", "one-class SVM"
"""Names of detectors of anomalies: the residual of principal components, and a support vector machine on these."""

BASELINES = frozenset({RANDOM, PIXELS, CONSTANT, BEST_CONSTANT, RANDOM_START, IMAGENET, PCA_RESIDUAL, ONE_CLASS})
"""All names of baselines. A run that has such a name is called by its path where baselines stand in the same table."""

SOURCE = "source"
CONTROLS = {SOURCE: "no source", "lens_light": "no lens light"}
"""What a control leaves out of the images, and how it is called."""

LARGEST = 64
"""Pixels along a side above which images are averaged, so that their components are found in seconds."""

EXPLAINED = 0.99
"""Part of the variance that components explain, if fewer than the encoder has features do that."""

STATISTICS = 512
"""Images that batch norms take their statistics from."""


def untrained(like: Encoder, lenses: LensSet, seed: int) -> Encoder:
    """An encoder of the same kind with random weights.

    Its batch norms are given the statistics of some images, which training would give them too: without them its
    features are of any size, and the baseline is weaker than it need be.

    Args:
        like: The encoder whose kind it is.
        lenses: Their images; the first `STATISTICS` of them are looked at.
        seed: Seed of the weights.
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
    """The pixels that an encoder's network is given, as features; of large images, averaged to `LARGEST` a side.

    Args:
        encoder: Whose preprocessing is done.
    """

    def __init__(self, encoder: Encoder) -> None:
        self.encoder = encoder

    @torch.no_grad()
    def embed(self, images: Tensor, batch_size: int = 256) -> NDArray[np.float32]:
        """Return the pixels (n, pixels) of raw images, as an encoder returns features."""
        prepared = self.encoder.preprocess(images.to(next(self.encoder.parameters()).device))
        if prepared.shape[-1] > LARGEST:
            prepared = F.adaptive_avg_pool2d(prepared, LARGEST)
        if images.shape[1] == 1:  # further channels are copies
            prepared = prepared[:, :1]
        return prepared.flatten(1).float().cpu().numpy()


def find_components(pixels: Rows, most: int, seed: int) -> PCA:
    """Principal components of the pixels of the images to fit to: as many as explain `EXPLAINED` of the variance.

    What comes after those is noise of these very images, and standardised it would be as large as all else.

    Args:
        pixels: These.
        most: Number of components, at most.
        seed: Seed of the search for them.
    """
    # In single precision, for numbers that come from images; twice as fast.
    x = pixels.features.astype(np.float32)
    pca = PCA(min(most, *x.shape), svd_solver="randomized", random_state=seed).fit(x)
    enough = int(np.searchsorted(np.cumsum(pca.explained_variance_ratio_), EXPLAINED)) + 1
    pca.n_components_ = min(enough, pca.n_components_)
    pca.components_ = pca.components_[: pca.n_components_]
    pca.explained_variance_ratio_ = pca.explained_variance_ratio_[: pca.n_components_]
    return pca


def in_components(pixels: Rows, components: PCA) -> Rows:
    """The same images with their components as features."""
    return replace(pixels, features=components.transform(pixels.features.astype(np.float32)).astype(np.float64))
