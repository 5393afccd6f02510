"""Initial encoders of fine-tuning: runs, random weights and ImageNet weights."""

from __future__ import annotations

import copy
import logging
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from lenskit.evaluation import Encoder
from lenskit.plugin import LenskitError, UsageError
from lenskit_evaluation.baselines import IMAGENET, RANDOM_START

log = logging.getLogger("lenskit")


class Starts:
    """Encoders to start fine-tuning from; each call returns a new copy.

    Args:
        encoders: Encoders of the runs by label. The first defines the architecture of the random and ImageNet starts.
        random: Whether to include a start from random weights.
        imagenet: Whether to include a start from ImageNet weights. If these are not available, a warning is logged.
        weights: File of ImageNet weights; by default the weights are downloaded.
    """

    def __init__(
        self, encoders: Mapping[str, Encoder], *, random: bool, imagenet: bool, weights: str | None = None
    ) -> None:
        self._encoders = dict(encoders)
        self.labels = [*encoders, *([RANDOM_START] if random else [])]
        self._card: dict[str, Any] = next(iter(encoders.values())).card
        if imagenet or weights:
            try:
                self._encoders[IMAGENET] = self._photographs(weights)
            except (LenskitError, UsageError) as error:
                log.warning("no %s start: %s", IMAGENET, error)
            else:
                self.labels.append(IMAGENET)

    def encoder(self, label: str, seed: int, images: Tensor) -> Encoder:
        """Return an encoder to start from.

        Args:
            label: One of `labels`.
            seed: Random seed of random weights.
            images: Training images, to compute the batch norm statistics of a random start.
        """
        if label == RANDOM_START:
            return _normed(Encoder.untrained(self._card, seed), images)
        return copy.deepcopy(self._encoders[label])

    def _photographs(self, weights: str | None) -> Encoder:
        """Return the first run's architecture with ImageNet weights."""
        choice: dict[str, Any] = {"weights": weights} if weights else {"pretrained": True}
        card = self._card | {"backbone": self._card["backbone"] | choice}
        encoder = Encoder.untrained(card, seed=0)
        encoder.card = self._card | {"trained": IMAGENET}
        return encoder


@torch.no_grad()
def _normed(encoder: Encoder, images: Tensor) -> Encoder:
    """Compute the batch norm statistics of an encoder from images."""
    norms = [module for module in encoder.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    encoder.eval()
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the average over all batches
        norm.train()
    if norms:
        for part in images.tensor_split(-(-len(images) // 256)):
            encoder(part)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    return encoder.eval()
