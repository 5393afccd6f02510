"""One-cycle policy of learning rate and momentum, as DeepLense uses it.

The policy is from Smith & Topin 2018 (https://arxiv.org/abs/1708.07120). It is torch's `OneCycleLR` with its defaults,
here as a function of the number of finished batches.
"""

from __future__ import annotations

import math
from typing import Annotated, Any

import torch
from annotated_types import Ge, Gt

from lenskit.plugin import Backbone, Batch, Method, at_most

RISE = 0.3
"""Fraction of a run in which the learning rate rises."""

START, END = 1 / 25, 1 / 25e4
"""Learning rate at the start and at the end of a run, divided by the peak."""

BETA1, BETA1_AT_PEAK = 0.95, 0.85
"""Adam's beta1 at the start and end of a run, and at the peak of the learning rate."""


def one_cycle(done: int, total: int, peak: float) -> tuple[float, float]:
    """Return the learning rate and Adam's beta1 for a batch.

    Args:
        done: Number of batches before this one, from 0 to `total` - 1.
        total: Number of batches of the run, 1 or more.
        peak: Largest learning rate.
    """
    top = RISE * total - 1
    if done <= top:
        share, start = done / top, START
    else:
        # A run of up to three batches has its peak before the first.
        share, start = (total - 1 - done) / (total - 1 - top), END
    height = (1 - math.cos(math.pi * share)) / 2
    return peak * (start + (1 - start) * height), BETA1 + (BETA1_AT_PEAK - BETA1) * height


class OneCycle(Method):
    """Base class of methods trained by one Adam optimiser with the one-cycle policy.

    Put it first among the base classes of a method: `class DCAE(OneCycle, Autoencoder)`. Its options become options of
    the method, which must pass on `**options`.

    Args:
        backbone: Network whose features are learned.
        lr: Learning rate of Adam at its peak, which is at 0.3 of the run (authors' code: 2e-3).
        weight_decay: Weight decay of Adam, as L2 regularisation of all weights (authors' code: 1e-5).
    """

    optimizer_defaults = None

    def __init__(
        self,
        backbone: Backbone,
        *,
        lr: Annotated[float, Gt(0), at_most(1e3)] = 2e-3,
        weight_decay: Annotated[float, Ge(0), at_most(1e3)] = 1e-5,
        **options: Any,
    ) -> None:
        super().__init__(backbone, **options)
        self.lr, self.l2 = lr, weight_decay

    def configure_optimizers(self) -> torch.optim.Optimizer:
        trained = [parameter for parameter in self.parameters() if parameter.requires_grad]
        return torch.optim.Adam(trained, lr=self.lr, betas=(BETA1, 0.999), weight_decay=self.l2, fused=True)

    def learning_rate(self, group: dict[str, Any], batches: int) -> float:
        return one_cycle(batches, self.budget.batches, group["peak_lr"])[0]

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Set Adam's beta1. The runner sets the learning rate."""
        beta1 = one_cycle(self.batches, self.budget.batches, self.lr)[1]
        optimizer: Any = self.optimizers(use_pl_optimizer=False)
        for group in optimizer.param_groups:
            group["betas"] = (beta1, *group["betas"][1:])
