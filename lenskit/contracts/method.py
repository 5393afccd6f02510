"""The contract of methods: the loss trains the backbone that the method was given."""

from __future__ import annotations

from typing import Any, Literal

from torch import Tensor

from lenskit.breach import breach, check_tensor
from lenskit.kinds.backbone import Backbone
from lenskit.kinds.method import Method

Answer = Literal["score", "reconstruct"]
"""A hook of a method that answers for each image."""


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


def check_answer(method: Method, what: Answer, answer: Any, images: Tensor) -> None:
    """Check what a method says of images.

    Args:
        method: The method.
        what: Its hook: `score` gives (n,), `reconstruct` the shape of the images.
        answer: What the hook returned.
        images: (n, channels, height, width).

    Raises:
        LenskitError: The answer has another shape.
    """
    if what == "score":
        check_tensor(method, "scores", answer, (len(images),))
    else:
        check_tensor(method, "reconstructions", answer, tuple(images.shape))
