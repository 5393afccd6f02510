"""An average of the backbone's weights over the latest batches, which is saved as the encoder in their place."""

from __future__ import annotations

from typing import Any, cast

import pytorch_lightning as pl
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from lenskit.encoder import Encoder
from lenskit.kinds.backbone import Backbone


class Averaging(pl.Callback):
    """Averages the encoder's backbone, weights and buffers, and has the encoder be the average. Comes before what
    saves or judges the encoder.

    Args:
        encoder: The encoder, whose backbone is trained.
        decay: How much of the average one batch leaves: it reaches back over some 1 / (1 - decay) batches.
    """

    def __init__(self, encoder: Encoder, decay: float) -> None:
        self.backbone = encoder.backbone
        self.average = AveragedModel(encoder.backbone, multi_avg_fn=get_ema_multi_avg_fn(decay), use_buffers=True)
        self.average.requires_grad_(False)
        encoder.backbone = cast(Backbone, self.average.module)
        encoder.card["ema"] = decay

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        # Without the count of the updates, which is looked at in each: on a device it would have to be waited for.
        self.average.module.to(pl_module.device)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self.average.update_parameters(self.backbone)

    def state_dict(self) -> dict[str, Any]:
        return self.average.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.average.load_state_dict(state_dict)
