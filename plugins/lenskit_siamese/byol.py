"""BYOL: a network predicts its own moving average (Grill et al. 2020).

"The paper" is https://arxiv.org/abs/2006.07733; "the authors' code" is
https://github.com/google-deepmind/deepmind-research/tree/master/byol.
"""

from __future__ import annotations

from copy import deepcopy
from types import MappingProxyType
from typing import Annotated

import torch
from annotated_types import Ge, Gt, Le
from lightly.loss import NegativeCosineSimilarity
from lightly.models.modules.heads import BYOLPredictionHead, BYOLProjectionHead
from lightly.models.utils import deactivate_requires_grad, update_momentum
from lightly.utils.scheduler import cosine_schedule
from torch import Tensor, nn

from lenskit.plugin import Backbone, Batch, Method, at_most

Width = Annotated[int, Gt(0), at_most(10**6)]


class BYOL(Method):
    """BYOL: predict the moving-average network's projection of the other view.

    The online network is trained; the target network is its moving average.

    Args:
        backbone: Network whose features are learned.
        projection_dim: Length of the projections that are compared (paper, Sec. 3.3: 256).
        hidden_dim: Width of the hidden layer of projector and predictor (paper: 4096).
        momentum: Momentum of the target network at the start. It rises to 1 along a cosine over the run, and at 1 the
            target no longer changes (paper: 0.996 for 1000 epochs; authors' code: 0.99 for 300 and 100 epochs, 0.97
            for 40).
    """

    views = 2
    judged_by = "probe"
    # Paper, Sec. 3.3, for 1000 epochs in batches of 4096 (300 epochs: lr 0.3, weight decay 1e-6). LARS and weight decay
    # leave out norms and biases, as here.
    optimizer_defaults = MappingProxyType({"name": "lars", "lr": 0.2, "weight_decay": 1.5e-6, "warmup_epochs": 10})

    def __init__(
        self,
        backbone: Backbone,
        *,
        projection_dim: Width = 256,
        hidden_dim: Width = 4096,
        momentum: Annotated[float, Ge(0), Le(1)] = 0.996,
    ) -> None:
        super().__init__(backbone)
        self.projector = BYOLProjectionHead(backbone.features, hidden_dim, projection_dim)
        self.predictor = BYOLPredictionHead(projection_dim, hidden_dim, projection_dim)
        # The target starts as a copy. In the authors' code it starts from different weights; the authors saw no
        # difference.
        self.target = nn.ModuleList([deepcopy(self.backbone), deepcopy(self.projector)])
        deactivate_requires_grad(self.target)
        self.criterion = NegativeCosineSimilarity()
        self.momentum = momentum

    def project(self, features: Tensor) -> Tensor:
        """Return the projections (n, projection_dim) of features."""
        return self.projector(features)

    def step(self, batch: Batch) -> dict[str, Tensor]:
        """Return the squared distance of prediction and target, summed over the views.

        Both have unit length, so that the distance is 2 - 2 cos (paper, Eq. 2).
        """
        features = [self.backbone(view) for view in batch.views]
        z1, z2 = (self.project(f) for f in features)
        with torch.no_grad():
            backbone, projector = self.target
            target1, target2 = (projector(backbone(view)) for view in batch.views)
        # The criterion returns -cos.
        loss = 4 + 2 * (self.criterion(self.predictor(z1), target2) + self.criterion(self.predictor(z2), target1))
        return {"loss": loss, "embedding": features[0].detach(), "projection": z1.detach()}

    def target_momentum(self, batches: int) -> float:
        """Return the target's momentum for the batch after `batches` batches.

        It is 1 - (1 - momentum) (cos(pi k / K) + 1) / 2 (paper, Sec. 3.3).
        """
        return cosine_schedule(batches, self.budget.batches + 1, self.momentum, 1.0)

    def after_update(self) -> None:
        """Move the target's weights towards the online network's.

        The target keeps batch norm statistics of its own inputs, as in the authors' code.
        """
        momentum = self.target_momentum(self.batches)
        for online, target in zip((self.backbone, self.projector), self.target, strict=True):
            update_momentum(online, target, momentum)
