"""Methods: what learns from the views of a lens, through a backbone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import pytorch_lightning as pl
from lightly.utils.scheduler import cosine_schedule
from torch import Tensor

from lenskit.kinds.backbone import Backbone
from lenskit.kinds.pairs import Batch


@dataclass(frozen=True)
class Budget:
    """How long a run is, in the unit that everything counts in: batches.

    Attributes:
        batch_size: Lenses a batch, over all processes.
        batches_per_epoch: Batches an epoch.
        epochs: Epochs of the run.
    """

    batch_size: int
    batches_per_epoch: int
    epochs: int

    @property
    def batches(self) -> int:
        """Batches of the whole run."""
        return self.batches_per_epoch * self.epochs


class Method(pl.LightningModule):
    """A Lightning module that is given a backbone and learns from batches of views.

    A subclass states how many `views` it takes and implements `training_step` and `configure_optimizers`; its
    keyword-only constructor arguments are its options. One that detects anomalies also has `score(images)` (higher is
    stranger).

    What changes from batch to batch is a function of the number of batches done, given as `batches`: a run that is
    killed and resumed is then the same run. Learning rates follow that rule by themselves, see `learning_rate`.
    """

    views: ClassVar[int]
    """Number of views of each lens that the method takes."""

    budget: Budget
    """Set by the runner before training."""

    batches: int = 0
    """Number of batches done, set by the runner before each batch."""

    backbone: Backbone

    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        self.backbone = backbone

    def training_step(self, batch: Batch, batch_index: int) -> dict[str, Tensor]:
        """Learns from one batch.

        Returns:
            `loss`, and for the collapse monitor, where they exist, `embedding` (n, features) and `projection` (n, d).
            Other scalars are logged by their names.
        """
        raise NotImplementedError

    def configure_optimizers(self) -> Any:
        """The optimiser. The `lr` of each parameter group is its peak; see `learning_rate`."""
        raise NotImplementedError

    def embed(self, images: Tensor) -> Tensor:
        """The representation of images (n, channels, height, width): (n, features)."""
        return self.backbone(images)

    def learning_rate(self, group: dict[str, Any], batches: int) -> float:
        """The learning rate of a parameter group for the batch after `batches` batches.

        By default a linear warm-up over the group's `warmup_epochs` (0 if it has none) to its peak, then a half
        cosine to zero at the end of the run; a group with `constant_lr` keeps its peak throughout.

        Args:
            group: The optimiser's parameter group; `peak_lr` is the rate that `configure_optimizers` gave it.
            batches: Number of batches done.
        """
        peak = group["peak_lr"]
        if group.get("constant_lr"):
            return peak
        warmup = min(round(group.get("warmup_epochs", 0) * self.budget.batches_per_epoch), self.budget.batches - 1)
        if batches < warmup:
            return peak * (batches + 1) / warmup
        return cosine_schedule(batches - warmup, self.budget.batches - warmup + 1, peak, 0.0)
