"""Exponential moving average of a method's weights."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from lenskit.checkpoint import AVERAGE, BACKBONE
from lenskit.encoder import Encoder
from lenskit.kinds.method import Method


class Averaging(pl.Callback):
    """Callback that keeps a moving average of a method's weights and buffers.

    The encoder and the method's scores use the average. This callback must come before callbacks that save or probe the
    encoder. The average starts from the weights after the first batch. Integer buffers, such as the number of batches
    in batch norm statistics, are copied and not averaged. Checkpoints hold both the average and the trained weights.

    Args:
        encoder: Encoder; its backbone is replaced by the average.
        method: Method that is trained.
        decay: Factor on the average at each batch. The average covers about 1 / (1 - decay) batches.
    """

    # Not torch's AveragedModel: it counts updates on the device, and each batch would wait for this count.

    def __init__(self, encoder: Encoder, method: Method, decay: float) -> None:
        self.method, self.decay, self.updates = method, decay, 0
        self.average = copy.deepcopy(method.backbone).requires_grad_(False)
        saved = method.state_dict().keys()
        self.rest = {name: value.detach().clone() for name, value in _beside_backbone(method).items() if name in saved}
        """Average of all tensors outside the backbone, by their names in the method."""
        self._rest_begins = True
        encoder.backbone = self.average
        encoder.card["ema"] = decay

    @property
    def state_key(self) -> str:
        return AVERAGE

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.average.to(pl_module.device)
        self.rest = {name: value.to(pl_module.device) for name, value in self.rest.items()}

    @torch.no_grad()
    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        latest = _beside_backbone(self.method)
        self._follow([*zip(_tensors(self.average), _tensors(self.method.backbone), strict=True)], not self.updates)
        self._follow([(average, latest[name]) for name, average in self.rest.items()], self._rest_begins)
        self.updates += 1
        self._rest_begins = False

    def _follow(self, pairs: Sequence[tuple[Tensor, Tensor]], begins: bool) -> None:
        """Update averages in place.

        Args:
            pairs: Averages and latest values.
            begins: Whether to copy the latest values, because there is no average yet.
        """
        averages: list[Tensor] = []
        latest: list[Tensor] = []
        for average, value in pairs:
            if not begins and (value.is_floating_point() or value.is_complex()):
                averages.append(average)
                latest.append(value)
            else:
                average.copy_(value)
        if averages:
            torch._foreach_lerp_(averages, latest, 1 - self.decay)

    def state_dict(self) -> dict[str, Any]:
        return {"updates": self.updates, "average": self.average.state_dict(), "rest": self.rest}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.updates = state_dict["updates"]
        self.average.load_state_dict(state_dict["average"])
        # Checkpoints of older versions average only the backbone. The average of the rest begins now.
        rest = state_dict.get("rest", {})
        self._rest_begins = rest.keys() != self.rest.keys()
        if not self._rest_begins:
            for name, value in self.rest.items():
                value.copy_(rest[name])


def _beside_backbone(method: Method) -> dict[str, Tensor]:
    """Return a method's weights and buffers outside its backbone, by name.

    A tensor with several names is listed under each name.
    """
    named = [*method.named_parameters(remove_duplicate=False), *method.named_buffers(remove_duplicate=False)]
    return {name: value for name, value in named if not name.startswith(BACKBONE)}


def _tensors(module: nn.Module) -> list[Tensor]:
    return [*module.parameters(), *module.buffers()]
