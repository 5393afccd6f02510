"""Contract of methods: the loss trains the backbone that is saved as the encoder."""

from __future__ import annotations

from typing import Any, Literal

from torch import Tensor

from lenskit.breach import breach, check_tensor
from lenskit.kinds.backbone import Backbone
from lenskit.kinds.method import Method

Answer = Literal["score", "reconstruct"]
"""Name of a method's hook that returns a result for each image."""


def meet_method(method: Any, backbone: Backbone) -> None:
    """Check a new method.

    Args:
        method: The method.
        backbone: The backbone that the method received.

    Raises:
        LenskitError: The method breaks its contract.
    """
    views = getattr(method, "views", None)
    if not isinstance(views, int) or views < 1:
        raise breach(method, f"states views = {views!r}: it must be the number of views of each lens that it takes")
    if not isinstance(method.judged_by, str):
        raise breach(method, f"states judged_by = {method.judged_by!r}: it must be the name of an evaluation")
    if getattr(method, "backbone", None) is not backbone:
        raise breach(
            method, "does not keep its backbone as `self.backbone`, so that the saved encoder would be untrained: "
            "call super().__init__(backbone)"
        )  # fmt: skip


def check_gradient(method: Method) -> None:
    """Check that the gradient of the first backward pass reaches the backbone.

    Raises:
        LenskitError: None of the trainable weights has a gradient.
    """
    weights = [weight for weight in method.backbone.parameters() if weight.requires_grad]
    if weights and all(weight.grad is None for weight in weights):
        raise breach(
            method, "returns a loss whose gradient does not reach the backbone: pass the views through the backbone"
        )


def check_answer(method: Method, hook: Answer, answer: Any, images: Tensor) -> None:
    """Check the scores or reconstructions that a method returns for images.

    Args:
        method: The method.
        hook: Name of the hook: `score` returns (n,), `reconstruct` the shape of the images.
        answer: The value that the hook returned.
        images: (n, channels, height, width).

    Raises:
        LenskitError: The value has the wrong type or shape.
    """
    if hook == "score":
        check_tensor(method, "scores", answer, (len(images),))
    else:
        check_tensor(method, "reconstructions", answer, tuple(images.shape))
