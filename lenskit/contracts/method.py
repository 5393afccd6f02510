"""What a method owes: a loss that teaches the backbone that it was given."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from lenskit.breach import breach, check_tensor
from lenskit.kinds.backbone import Backbone
from lenskit.kinds.method import Method


def meet_method(method: Any, backbone: Backbone) -> None:
    """Check a new method.

    Args:
        method: The method.
        backbone: The backbone that it was given.

    Raises:
        LenskitError: It breaks its contract.
    """
    views = getattr(method, "views", None)
    if not isinstance(views, int) or views < 1:
        raise breach(method, f"states views = {views!r}: give the number of views of a lens that it takes")
    if not isinstance(method.judged_by, str):
        raise breach(method, f"states judged_by = {method.judged_by!r}: give the name of an evaluation")
    if getattr(method, "backbone", None) is not backbone:
        raise breach(
            method, "does not keep the backbone that it was given as `backbone`: the encoder that is saved would not "
            "be the trained one; call super().__init__(backbone)"
        )  # fmt: skip


def check_gradient(method: Method) -> None:
    """Check, after the first backward pass, that the gradient reaches the backbone.

    Raises:
        LenskitError: It reaches none of the weights that learn.
    """
    weights = [weight for weight in method.backbone.parameters() if weight.requires_grad]
    if weights and all(weight.grad is None for weight in weights):
        raise breach(method, "gives a loss whose gradient does not reach the backbone: pass views through it")


def check_scores(method: Method, scores: Any, images: Tensor) -> None:
    """Check the scores of images.

    Args:
        method: The method that gave them.
        scores: The scores.
        images: (n, channels, height, width).

    Raises:
        LenskitError: They are not (n,).
    """
    check_tensor(method, "scores", scores, (len(images),))


def check_reconstructions(method: Method, reconstructions: Any, images: Tensor) -> None:
    """Check the reconstructions of images.

    Args:
        method: The method that gave them.
        reconstructions: The reconstructions.
        images: (n, channels, height, width).

    Raises:
        LenskitError: They have another shape than the images.
    """
    check_tensor(method, "reconstructions", reconstructions, tuple(images.shape))
