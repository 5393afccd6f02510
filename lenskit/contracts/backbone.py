"""Contract of backbones: features of the stated length that depend on one image."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from lenskit.breach import breach, check_finite, check_tensor
from lenskit.kinds.backbone import Backbone
from lenskit.out_of_memory import is_out_of_memory

SAME = 0.01
"""Largest difference of features that counts as rounding, as a fraction of the largest feature. Kernels differ between
batch sizes."""


def meet_backbone(backbone: Any, channels: int, size: int) -> None:
    """Check a new backbone with two images.

    Its weights and later random numbers do not change.

    Args:
        backbone: The backbone.
        channels: Number of channels that the backbone was built for.
        size: Height and width in pixels that the backbone was built for.

    Raises:
        LenskitError: The backbone breaks its contract.
    """
    for name, wanted in (("channels", channels), ("size", size)):
        if getattr(backbone, name, None) != wanted:
            raise breach(backbone, f"has no {name} = {wanted}: call super().__init__(channels, size)")
    features = getattr(backbone, "features", None)
    if not isinstance(features, int) or features < 1:
        raise breach(backbone, f"states features = {features!r}: it must be the length of the feature vectors")
    ramp = torch.linspace(-1, 1, 2 * channels * size * size)
    images = ramp.sin().view(2, channels, size, size)
    was_training = backbone.training
    try:
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            backbone.eval()
            both = backbone(images)
            check_features(backbone, both, 2)
            check_finite(backbone, "features", both)
            alone = backbone(images[1:])
    except RuntimeError as error:
        if is_out_of_memory(error):
            return  # training reports a batch size that fits
        raise
    finally:
        backbone.train(was_training)
    if float((both[1] - alone[0]).abs().max()) > SAME * float(both.abs().max()):
        raise breach(
            backbone,
            "gives different features of an image alone and in a batch, in eval mode: make the features of an image "
            "independent of the other images",
        )


def check_features(backbone: Backbone, features: Any, count: int) -> Tensor:
    """Check the features of images, and return them.

    Args:
        backbone: The backbone that computed them.
        features: The features.
        count: Number of images.

    Raises:
        LenskitError: The features are not a tensor of shape (count, `features`).
    """
    check_tensor(backbone, "features", features, (count, backbone.features))
    checked: Tensor = features
    return checked
