"""An average of the backbone's weights over the latest batches, which is saved as the encoder in their place."""

from __future__ import annotations

import copy
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from lenskit.encoder import Encoder


class Averaging(pl.Callback):
    """Averages the encoder's backbone, weights and buffers, and has the encoder be the average. Comes before what
    saves or judges the encoder.

    The average begins as the backbone after the first batch. Integers, such as the count of the batches that a batch
    norm has seen, are always the latest.

    Args:
        encoder: The encoder, whose backbone is trained.
        decay: How much of the average one batch leaves: it reaches back over some 1 / (1 - decay) batches.
    """

    # Not torch's AveragedModel: that one counts on a device, which each batch would have to wait for.

    def __init__(self, encoder: Encoder, decay: float) -> None:
        self.backbone, self.decay, self.updates = encoder.backbone, decay, 0
        self.average = copy.deepcopy(encoder.backbone).requires_grad_(False)
        encoder.backbone = self.average
        encoder.card["ema"] = decay

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.average.to(pl_module.device)

    @torch.no_grad()
    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        averages: list[Tensor] = []
        latest: list[Tensor] = []
        for average, value in zip(_tensors(self.average), _tensors(self.backbone), strict=True):
            if self.updates and (value.is_floating_point() or value.is_complex()):
                averages.append(average)
                latest.append(value)
            else:
                average.copy_(value)
        if averages:
            torch._foreach_lerp_(averages, latest, 1 - self.decay)
        self.updates += 1

    def state_dict(self) -> dict[str, Any]:
        return {"updates": self.updates, "average": self.average.state_dict()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.updates = state_dict["updates"]
        self.average.load_state_dict(state_dict["average"])


def _tensors(module: nn.Module) -> list[Tensor]:
    return [*module.parameters(), *module.buffers()]
