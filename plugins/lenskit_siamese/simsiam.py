"""SimSiam (Chen & He 2021, https://arxiv.org/abs/2011.10566): two views, a predictor, and a stop-gradient.

"The paper" below is that one, "the authors' code" https://github.com/facebookresearch/simsiam, and LenSiam
https://openreview.net/forum?id=xww53DuKJO, whose training these defaults are.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated

from annotated_types import Ge, Gt, Lt
from lightly.loss import NegativeCosineSimilarity
from lightly.models.modules.heads import ProjectionHead, SimSiamPredictionHead
from torch import Tensor, nn
from torch.optim import SGD, Optimizer

from lenskit.plugin import Backbone, Batch, Method

Width = Annotated[int, Gt(0)]


class SimSiam(Method):
    """SimSiam: the features of one view predict those of the other, which is held still.

    Args:
        backbone: Network whose features are learned.
        projection_dim: Length of the projections that are compared (paper, Sec. 3: 2048).
        hidden_dim: Width of the projector's hidden layers (paper: 2048).
        projector_layers: Layers of the projector (paper: 3; 2 for the small images of CIFAR-10, App. D).
        projector_affine: Whether the projector's last batch norm has a scale and an offset: so in the paper, which
            makes no exception for it, and in LenSiam. In the authors' code, which came later, it has none. The
            projections then cannot all become one vector; a collapse leaves them near a line, with some spread.
        predictor_dim: Width of the predictor's hidden layer, a bottleneck of a quarter (paper: 512).
        lr: Peak learning rate for a batch of 256; it is scaled with the batch size (LenSiam: 0.03; paper: 0.05,
            and 0.03 for CIFAR-10).
        momentum: Momentum of SGD (paper: 0.9).
        weight_decay: Weight decay of all parameters (LenSiam and the paper for CIFAR-10: 5e-4; paper: 1e-4).
        warmup_epochs: Epochs of linear warm-up (LenSiam: 10; the paper needs none below batches of 1024).
        stop_gradient: Whether the target is held still. Without it the projections collapse to a point (paper,
            Sec. 4.1): a control experiment.
    """

    views = 2

    def __init__(
        self,
        backbone: Backbone,
        *,
        projection_dim: Width = 2048,
        hidden_dim: Width = 2048,
        projector_layers: Annotated[int, Ge(1)] = 3,
        projector_affine: bool = True,
        predictor_dim: Width = 512,
        lr: Annotated[float, Gt(0)] = 0.03,
        momentum: Annotated[float, Ge(0), Lt(1)] = 0.9,
        weight_decay: Annotated[float, Ge(0)] = 5e-4,
        warmup_epochs: Annotated[float, Ge(0)] = 10,
        stop_gradient: bool = True,
    ) -> None:
        super().__init__(backbone)
        self.projector = projector(backbone.features, hidden_dim, projection_dim, projector_layers, projector_affine)
        self.predictor = SimSiamPredictionHead(projection_dim, predictor_dim, projection_dim)
        self.criterion = NegativeCosineSimilarity()
        self.stop_gradient = stop_gradient
        self.lr, self.momentum, self.weight_decay = lr, momentum, weight_decay
        self.warmup_epochs = warmup_epochs

    def training_step(self, batch: Batch, batch_index: int) -> dict[str, Tensor]:
        """The symmetric loss D(p1, z2) / 2 + D(p2, z1) / 2 (paper, Eq. 4); D is the negative cosine similarity."""
        # Each view goes through by itself, so that batch norm sees the statistics of one view, as in the authors' code.
        features = [self.backbone(view) for view in batch.views]
        z1, z2 = (self.projector(f) for f in features)
        p1, p2 = self.predictor(z1), self.predictor(z2)
        projection = z1.detach()
        if self.stop_gradient:
            z1, z2 = z1.detach(), z2.detach()
        loss = (self.criterion(p1, z2) + self.criterion(p2, z1)) / 2
        return {"loss": loss, "embedding": features[0].detach(), "projection": projection}

    def configure_optimizers(self) -> Optimizer:
        """SGD; the predictor's rate stays constant, for it should adapt to the latest features (paper, Sec. 4.2)."""
        # The linear scaling rule, lr x batch / 256 (paper, Sec. 3).
        lr = self.lr * self.budget.batch_size / 256
        encoder = [*self.backbone.parameters(), *self.projector.parameters()]
        groups = [
            {"params": encoder, "warmup_epochs": self.warmup_epochs},
            {"params": [*self.predictor.parameters()], "constant_lr": True},
        ]
        return SGD(groups, lr=lr, momentum=self.momentum, weight_decay=self.weight_decay)


def projector(input_dim: int, hidden_dim: int, output_dim: int, layers: int, affine: bool) -> ProjectionHead:
    """The projection MLP: batch norm on every layer, ReLU on all but the last (paper, Sec. 3).

    With three layers, and without `affine`, it is lightly's `SimSiamProjectionHead`.
    """
    widths = [input_dim, *[hidden_dim] * (layers - 1)]
    blocks = [(i, o, nn.BatchNorm1d(o), nn.ReLU()) for i, o in pairwise(widths)]
    return ProjectionHead([*blocks, (widths[-1], output_dim, nn.BatchNorm1d(output_dim, affine=affine), None)])
