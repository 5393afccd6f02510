"""Check of the outputs of a method's step, in every batch."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl
from torch import Tensor

from lenskit.breach import breach, check_tensor


def check_outputs(method: pl.LightningModule, outputs: Any, lenses: int) -> None:
    """Check the outputs of a method's step.

    No value is read, so the GPU need not be synchronised.

    Args:
        method: The method.
        outputs: The value that its `step` returned.
        lenses: Number of lenses in the batch.

    Raises:
        LenskitError: There is no loss, or an output has the wrong type or shape.
    """
    if not isinstance(outputs, dict) or "loss" not in outputs:
        given = f"a dict with {', '.join(map(str, outputs)) or 'nothing'}" if isinstance(outputs, dict) else None
        raise breach(method, f"returns {given or type(outputs).__name__} from `step`: return a dict with `loss`")
    loss = outputs["loss"]
    if not isinstance(loss, Tensor) or loss.numel() != 1:
        given = f"shape {tuple(loss.shape)}" if isinstance(loss, Tensor) else type(loss).__name__
        raise breach(method, f"returns a loss of {given}: return a tensor with one number")
    if method.automatic_optimization and not loss.requires_grad:
        raise breach(method, "returns a loss without a gradient: compute it from the backbone's features, not detached")
    for name in ("embedding", "projection"):
        if outputs.get(name) is not None:
            check_tensor(method, name, outputs[name], (lenses, None))
