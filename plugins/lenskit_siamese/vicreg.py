"""VICReg: variance, invariance and covariance (Bardes et al. 2022).

"The paper" is https://arxiv.org/abs/2105.04906; "the authors' code" is https://github.com/facebookresearch/vicreg.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Annotated

import torch
from annotated_types import Ge, Gt
from lightly.loss.vicreg_loss import invariance_loss, variance_loss
from lightly.models.modules.heads import VICRegProjectionHead
from torch import Tensor

from lenskit.plugin import Backbone, Batch, Method, at_most
from lenskit.toolbox import gather

Width = Annotated[int, Gt(0), at_most(10**6)]
Weight = Annotated[float, Ge(0)]


class VICReg(Method):
    """VICReg: make views agree, each feature vary and features uncorrelated.

    Args:
        backbone: Network whose features are learned.
        projection_dim: Length of the expanded features that are compared (paper, Sec. 4.2: 8192).
        hidden_dim: Width of the expander's hidden layers (paper: 8192).
        projector_layers: Number of layers of the expander (paper: 3).
        invariance: Weight of the distance between views, lambda (paper, Sec. 4.2: 25).
        variance: Weight of the hinge loss on the standard deviation of each feature, mu (paper: 25).
        covariance: Weight of the covariances of different features, nu (paper: 1).
    """

    views = 2
    judged_by = "probe"
    # Paper, Sec. 4.2, for 1000 epochs in batches of 2048. LARS and weight decay leave out norms and biases, as here.
    # The learning rate of the paper ends at 0.002 (authors' code: a thousandth of the peak), here at 0.
    optimizer_defaults = MappingProxyType({"name": "lars", "lr": 0.2, "weight_decay": 1e-6, "warmup_epochs": 10})

    def __init__(
        self,
        backbone: Backbone,
        *,
        projection_dim: Width = 8192,
        hidden_dim: Width = 8192,
        projector_layers: Annotated[int, Ge(2), at_most(64)] = 3,
        invariance: Weight = 25.0,
        variance: Weight = 25.0,
        covariance: Weight = 1.0,
    ) -> None:
        super().__init__(backbone)
        # The last layer has a bias, which the authors' code leaves out. The loss does not depend on it.
        self.projector = VICRegProjectionHead(backbone.features, hidden_dim, projection_dim, projector_layers)
        self.invariance, self.variance, self.covariance = invariance, variance, covariance

    def project(self, features: Tensor) -> Tensor:
        """Return the projections (n, projection_dim) of features."""
        return self.projector(features)

    def step(self, batch: Batch) -> dict[str, Tensor]:
        """Return lambda s(Z, Z') + mu [v(Z) + v(Z')] / 2 + nu [c(Z) + c(Z')].

        See the paper, Eq. 6. As in the authors' code and unlike the paper, s is averaged over the dimensions (paper,
        Eq. 5: a sum), and v over the two views.
        """
        features = [self.backbone(view) for view in batch.views]
        z1, z2 = (self.project(f) for f in features)
        # At least single precision, for the variances of almost equal numbers.
        z1, z2 = (z.to(torch.promote_types(z.dtype, torch.float32)) for z in (z1, z2))
        invariance = invariance_loss(z1, z2)
        all1, all2 = gather(z1), gather(z2)
        variance = (variance_loss(all1) + variance_loss(all2)) / 2
        covariance = covariance_loss(all1) + covariance_loss(all2)
        return {
            "loss": self.invariance * invariance + self.variance * variance + self.covariance * covariance,
            "invariance": invariance.detach(),
            "variance": variance.detach(),
            "covariance": covariance.detach(),
            "embedding": features[0].detach(),
            "projection": z1.detach(),
        }


def covariance_loss(z: Tensor) -> Tensor:
    """Return c(Z), the squared covariances of different dimensions, as a scalar.

    See the paper, Eqs. 3 and 4. lightly's version selects the covariances with a mask, which makes the host wait for
    the GPU.

    Args:
        z: (n, d).
    """
    centred = z - z.mean(0)
    covariances = centred.T @ centred / (len(z) - 1)
    return (covariances.square().sum() - covariances.diagonal().square().sum()) / z.shape[1]
