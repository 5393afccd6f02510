"""SimSiam: two views, a predictor and a stop-gradient (Chen & He 2021).

"The paper" is https://arxiv.org/abs/2011.10566; "the authors' code" is https://github.com/facebookresearch/simsiam.
"LenSiam" is https://openreview.net/forum?id=xww53DuKJO; the defaults are from its training.
"""

from __future__ import annotations

from itertools import pairwise
from types import MappingProxyType
from typing import Annotated, Any

from annotated_types import Ge, Gt
from lightly.loss import NegativeCosineSimilarity
from lightly.models.modules.heads import ProjectionHead, SimSiamPredictionHead
from torch import Tensor, nn

from lenskit.plugin import Backbone, Batch, Method, at_most

Width = Annotated[int, Gt(0), at_most(10**6)]


class SimSiam(Method):
    """SimSiam: predict one view's projection from the other view.

    The predicted projection is held constant: it gets no gradient.

    Args:
        backbone: Network whose features are learned.
        projection_dim: Length of the projections that are compared (paper, Sec. 3: 2048).
        hidden_dim: Width of the projector's hidden layers (paper: 2048).
        projector_layers: Number of layers of the projector (paper: 3; 2 for the small images of CIFAR-10, App. D).
        projector_affine: Whether the projector's last batch norm has a scale and an offset. The paper, which makes no
            exception for the last layer, and LenSiam use both. The authors' code, which is more recent, uses neither.
            Without scale and offset, the projections cannot all become one vector: after a collapse they lie near a
            line, with some spread.
        predictor_dim: Width of the predictor's hidden layer, a bottleneck (paper: 512, a quarter of `projection_dim`).
        stop_gradient: Whether the target is held constant (no gradient). Without this the projections collapse to a
            point (paper, Sec. 4.1), which is useful as a control experiment.
    """

    views = 2
    judged_by = "probe"
    # LenSiam, and the paper for CIFAR-10 (paper for ImageNet: lr 0.05, weight decay 1e-4, no warm-up). In both,
    # weight decay also acts on norms and biases; use `--set optimizer.decay_all=true` for this.
    optimizer_defaults = MappingProxyType({"name": "sgd", "lr": 0.03, "weight_decay": 5e-4, "warmup_epochs": 10})

    def __init__(
        self,
        backbone: Backbone,
        *,
        projection_dim: Width = 2048,
        hidden_dim: Width = 2048,
        projector_layers: Annotated[int, Ge(1), at_most(64)] = 3,
        projector_affine: bool = True,
        predictor_dim: Width = 512,
        stop_gradient: bool = True,
    ) -> None:
        super().__init__(backbone)
        self.projector = projector(backbone.features, hidden_dim, projection_dim, projector_layers, projector_affine)
        self.predictor = SimSiamPredictionHead(projection_dim, predictor_dim, projection_dim)
        self.criterion = NegativeCosineSimilarity()
        self.stop_gradient = stop_gradient

    def project(self, features: Tensor) -> Tensor:
        """Return the projections (n, projection_dim) of features."""
        return self.projector(features)

    def step(self, batch: Batch) -> dict[str, Tensor]:
        """Return the symmetric loss D(p1, z2) / 2 + D(p2, z1) / 2 (paper, Eq. 4).

        D is the negative cosine similarity.
        """
        # Each view has its own pass, so that batch norm uses the statistics of one view, as in the authors' code.
        features = [self.backbone(view) for view in batch.views]
        z1, z2 = (self.project(f) for f in features)
        p1, p2 = self.predictor(z1), self.predictor(z2)
        projection = z1.detach()
        if self.stop_gradient:
            z1, z2 = z1.detach(), z2.detach()
        loss = (self.criterion(p1, z2) + self.criterion(p2, z1)) / 2
        return {"loss": loss, "embedding": features[0].detach(), "projection": projection}

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Return the parameter groups; the predictor's learning rate stays constant.

        The predictor has to adapt to the latest features (paper, Sec. 4.2).
        """
        return [{"modules": [self.backbone, self.projector]}, {"modules": [self.predictor], "constant_lr": True}]


def projector(input_dim: int, hidden_dim: int, output_dim: int, layers: int, affine: bool) -> ProjectionHead:
    """Return the projection MLP: batch norm on every layer, ReLU on all but the last.

    See the paper, Sec. 3. With three layers and without `affine` it equals lightly's `SimSiamProjectionHead`.
    """
    widths = [input_dim, *[hidden_dim] * (layers - 1)]
    blocks = [(i, o, nn.BatchNorm1d(o), nn.ReLU()) for i, o in pairwise(widths)]
    return ProjectionHead([*blocks, (widths[-1], output_dim, nn.BatchNorm1d(output_dim, affine=affine), None)])
