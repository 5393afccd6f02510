"""Barlow Twins: redundancy reduction (Zbontar et al. 2021).

"The paper" is https://arxiv.org/abs/2103.03230; "the authors' code" is https://github.com/facebookresearch/barlowtwins.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Annotated, Any

from annotated_types import Ge, Gt
from lightly.loss import BarlowTwinsLoss
from lightly.models.modules.heads import BarlowTwinsProjectionHead
from torch import Tensor

from lenskit.plugin import Backbone, Batch, Method, at_most
from lenskit.toolbox import gather

Width = Annotated[int, Gt(0), at_most(10**6)]


class BarlowTwins(Method):
    """Barlow Twins: make the cross-correlation of two views' features the identity.

    Args:
        backbone: Network whose features are learned.
        projection_dim: Length of the projections that are correlated (paper, Sec. 2.2: 8192; longer is better).
        hidden_dim: Width of the projector's hidden layers (paper: 8192).
        redundancy: Weight of the correlations between different features, lambda (paper: 0.005).
        bias_lr: Learning rate of biases and norms, divided by the learning rate of the weights (paper, Sec. 2.2:
            0.0048 / 0.2).
    """

    views = 2
    judged_by = "probe"
    # Paper, Sec. 2.2, for 1000 epochs in batches of 2048 (authors' code: weight decay 1e-6). LARS and weight decay
    # leave out norms and biases, as here. The learning rate of the paper ends at a thousandth of its peak, here at 0.
    optimizer_defaults = MappingProxyType({"name": "lars", "lr": 0.2, "weight_decay": 1.5e-6, "warmup_epochs": 10})

    def __init__(
        self,
        backbone: Backbone,
        *,
        projection_dim: Width = 8192,
        hidden_dim: Width = 8192,
        redundancy: Annotated[float, Ge(0)] = 0.005,
        bias_lr: Annotated[float, Gt(0), at_most(1e3)] = 0.024,
    ) -> None:
        super().__init__(backbone)
        # The last layer has a bias, which the authors' code leaves out. The loss does not depend on it.
        self.projector = BarlowTwinsProjectionHead(backbone.features, hidden_dim, projection_dim)
        self.criterion = BarlowTwinsLoss(redundancy)
        self.bias_lr = bias_lr

    def project(self, features: Tensor) -> Tensor:
        """Return the projections (n, projection_dim) of features."""
        return self.projector(features)

    def step(self, batch: Batch) -> dict[str, Tensor]:
        """Return the loss sum_i (1 - C_ii)^2 + lambda sum_i sum_j!=i C_ij^2.

        C is the cross-correlation of the two views' projections (paper, Eqs. 1 and 2).
        """
        features = [self.backbone(view) for view in batch.views]
        z1, z2 = (self.project(f) for f in features)
        # Projections are gathered from all processes and standardised over the whole batch, as in the authors' code.
        # lightly's own gathering would average correlations of projections standardised in each process.
        loss = self.criterion(gather(z1), gather(z2))
        return {"loss": loss, "embedding": features[0].detach(), "projection": z1.detach()}

    def learning_rate(self, group: dict[str, Any], batches: int) -> float:
        """Return the learning rate; multiply it by `bias_lr` for biases and norms.

        Biases and norms are recognised by their weight decay of 0.
        """
        rate = super().learning_rate(group, batches)
        spared = group["peak_weight_decay"] == 0 < self.optimizer_settings.weight_decay
        return rate * self.bias_lr if spared else rate
