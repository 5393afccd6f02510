"""Alignment and uniformity on the hypersphere.

Wang & Isola 2020, https://arxiv.org/abs/2005.10242.
"""

from typing import Annotated

from annotated_types import Gt
from lenskit.plugin import Method
from lenskit.toolbox import gather
from torch import nn, pdist
from torch.nn.functional import normalize


class PinnedMethod(Method):
    """Pull the views of a lens together, and spread lenses over the hypersphere.

    Args:
        projection_dim: Length of the projections.
        temperature: Scale t of the uniformity loss.
    """

    views = 2
    judged_by = "probe"
    optimizer_defaults = {"name": "sgd", "lr": 0.12, "lr_batch": 256, "weight_decay": 1e-4, "warmup_epochs": 1}

    def __init__(
        self,
        backbone,
        *,
        projection_dim: Annotated[int, Gt(0)] = 128,
        temperature: Annotated[float, Gt(0)] = 2.0,
    ):
        super().__init__(backbone)
        self.head = nn.Linear(backbone.features, projection_dim)
        self.temperature = temperature

    def project(self, features):
        return self.head(features)

    def step(self, batch):
        features = [self.backbone(view) for view in batch.views]
        a, b = (normalize(self.project(each)) for each in features)
        alignment = (a - b).square().sum(1).mean()
        uniformity = sum(self.uniformity(gather(each)) for each in (a, b)) / 2    # over the lenses of all processes
        return {
            "loss": alignment + uniformity,
            "alignment": alignment.detach(),
            "embedding": features[0].detach(),
            "projection": self.project(features[0]).detach(),
        }

    def uniformity(self, points):
        """Return the logarithm of the mean Gaussian potential of points (n, d)."""
        return (-self.temperature * pdist(points).square()).exp().mean().log()
