"""An average of a method's weights over the latest batches, which the encoder and a method's scores go by."""

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
    """Averages a method's weights and buffers, and has the encoder be the average. Comes before what saves or judges
    the encoder.

    The average begins as the method after the first batch. Integers, such as the count of the batches that a batch
    norm has seen, are always the latest. Checkpoints hold the average beside the weights that are trained.

    Args:
        encoder: The encoder, whose backbone is the method's.
        method: The method that is trained.
        decay: How much of the average one batch leaves: it reaches back over some 1 / (1 - decay) batches.
    """

    # Not torch's AveragedModel: that one counts on a device, which each batch would have to wait for.

    def __init__(self, encoder: Encoder, method: Method, decay: float) -> None:
        self.method, self.decay, self.updates = method, decay, 0
        self.average = copy.deepcopy(method.backbone).requires_grad_(False)
        saved = method.state_dict().keys()
        self.rest = {name: value.detach().clone() for name, value in _beside_backbone(method).items() if name in saved}
        """The average of all tensors but the backbone's, by their names in the method."""
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
        """Moves averages towards the latest values, or to them."""
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
        # Checkpoints of before have an average of the backbone only: that of the rest begins now.
        rest = state_dict.get("rest", {})
        self._rest_begins = rest.keys() != self.rest.keys()
        if not self._rest_begins:
            for name, value in self.rest.items():
                value.copy_(rest[name])


def _beside_backbone(method: Method) -> dict[str, Tensor]:
    """A method's weights and buffers but those of its backbone, also under each of several names."""
    named = [*method.named_parameters(remove_duplicate=False), *method.named_buffers(remove_duplicate=False)]
    return {name: value for name, value in named if not name.startswith(BACKBONE)}


def _tensors(module: nn.Module) -> list[Tensor]:
    return [*module.parameters(), *module.buffers()]
