"""SimCLR: each view finds its partner among all other views (Chen et al. 2020).

"The paper" is https://arxiv.org/abs/2002.05709; "the authors' code" is https://github.com/google-research/simclr.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Annotated

import torch
from annotated_types import Ge, Gt
from lightly.models.modules.heads import SimCLRProjectionHead
from torch import Tensor
from torch.nn import functional as F

from lenskit.plugin import Backbone, Batch, Method, at_most
from lenskit.toolbox import gather, places

Width = Annotated[int, Gt(0), at_most(10**6)]


class SimCLR(Method):
    """SimCLR: make positive pairs similar, and views of different lenses dissimilar.

    Args:
        backbone: Network whose features are learned.
        projection_dim: Length of the projections that are compared (paper, Sec. 2.3: 128).
        hidden_dim: Width of the projector's hidden layers (paper: width of the features, 2048 for a ResNet-50).
        projector_layers: Number of layers of the projector (paper: 2; 3 in SimCLR v2,
            https://arxiv.org/abs/2006.10029).
        temperature: Divisor of the similarities; a small temperature emphasises the hardest negatives (authors' code:
            0.1 for ImageNet, 0.5 for CIFAR-10; paper, Table 5).
    """

    views = 2
    judged_by = "probe"
    # Paper, Sec. 2.3, for batches of 4096. For small batches App. B.1 finds lr = 0.075 sqrt(batch) better, which is
    # `--set optimizer.lr_batch=0 --lr ...` here. LARS and weight decay leave out norms and biases, as here.
    optimizer_defaults = MappingProxyType({"name": "lars", "lr": 0.3, "weight_decay": 1e-6, "warmup_epochs": 10})

    def __init__(
        self,
        backbone: Backbone,
        *,
        projection_dim: Width = 128,
        hidden_dim: Width = 2048,
        projector_layers: Annotated[int, Ge(2), at_most(64)] = 2,
        temperature: Annotated[float, Gt(0)] = 0.1,
    ) -> None:
        super().__init__(backbone)
        # Each layer is followed by a batch norm, as in the authors' code; the paper does not mention it.
        self.projector = SimCLRProjectionHead(backbone.features, hidden_dim, projection_dim, projector_layers)
        self.temperature = temperature

    def project(self, features: Tensor) -> Tensor:
        """Return the projections (n, projection_dim) of features."""
        return self.projector(features)

    def step(self, batch: Batch) -> dict[str, Tensor]:
        """Return the loss NT-Xent: normalised temperature-scaled cross-entropy.

        See the paper, Eq. 1 and Algorithm 1.
        """
        # The authors' code passes both views at once. Here each view has its own batch norm statistics, as in SimSiam.
        features = [self.backbone(view) for view in batch.views]
        z1, z2 = (self.project(f) for f in features)
        return {
            "loss": nt_xent(z1, z2, self.temperature),
            "embedding": features[0].detach(),
            "projection": z1.detach(),
        }


def nt_xent(z1: Tensor, z2: Tensor, temperature: float) -> Tensor:
    """Return the NT-Xent loss, averaged over this process's views.

    Each view looks for its partner among the views of all processes. The result equals that of lightly's `NTXentLoss`,
    which selects the compared views with a mask and so makes the host wait for the GPU.

    Args:
        z1: (n, d), projections of one view.
        z2: (n, d), projections of the other view.
        temperature: Divisor of the cosines.

    Returns:
        A scalar.
    """
    z1, z2 = F.normalize(z1, dim=1), F.normalize(z2, dim=1)
    everyone = torch.cat([gather(z1), gather(z2)])
    first = places(len(z1), z1.device)
    itself = torch.cat([first, first + len(everyone) // 2])
    similarity = torch.cat([z1, z2]) @ everyone.T / temperature
    others = similarity.scatter(1, itself[:, None], -torch.inf)
    return F.cross_entropy(others, (itself + len(everyone) // 2) % len(everyone))
