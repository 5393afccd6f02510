"""LeJEPA: views agree, and embeddings are Gaussian (Balestriero & LeCun 2025).

"The paper" is https://arxiv.org/abs/2511.08544; "the authors' code" is https://github.com/rbalestr-lab/lejepa. The
method has no teacher, no stop-gradient and no predictor. It differs from both in the views: the pair strategy makes two
views; the paper and the authors' code use two large and six small crops.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Annotated

import torch
import torch.distributed.nn
from annotated_types import Ge, Gt, Le
from lightly.loss.lejepa_loss import SIGReg, lejepa_invariance_loss
from lightly.models.modules.heads import ProjectionHead
from lightly.utils.dist import world_size
from torch import Tensor, nn
from torch.nn import functional as F

from lenskit.plugin import Backbone, Batch, KeyedGenerator, Method, at_most

Width = Annotated[int, Gt(0), at_most(10**6)]


class LeJEPA(Method):
    """LeJEPA: make a pair's projections agree and a batch's projections Gaussian.

    The regulariser SIGReg compares the projections of a batch with an isotropic Gaussian.

    Args:
        backbone: Network whose features are learned.
        sigreg: Weight of SIGReg in the loss; the agreement of the pair has the weight 1 - `sigreg` (authors' code:
            0.05, its minimal example 0.02; paper: anything from 0.01 to 0.1).
        slices: Number of directions along which a batch of projections is compared with a Gaussian. They are
            sampled again for every batch (authors' code: 1024).
        knots: Number of frequencies at which the characteristic functions are compared (authors' code: 17).
        largest_frequency: Largest of these frequencies (authors' minimal example: 3).
        projection_dim: Length of the projections (authors' minimal example: 16).
        hidden_dim: Width of the projector's two hidden layers (authors' minimal example: 2048).
    """

    views = 2
    judged_by = "probe"
    # Authors' code ("GOTO hyperparameters"), which uses a weight decay of 5e-4 for ResNets. It states no batch size
    # and no warm-up: 256 and 1 epoch are from its minimal example.
    optimizer_defaults = MappingProxyType({"name": "adamw", "lr": 5e-4, "weight_decay": 0.05, "warmup_epochs": 1})

    def __init__(
        self,
        backbone: Backbone,
        *,
        sigreg: Annotated[float, Ge(0), Le(1)] = 0.05,
        slices: Width = 1024,
        knots: Annotated[int, Ge(2), at_most(10000)] = 17,
        largest_frequency: Annotated[float, Gt(0)] = 3.0,
        projection_dim: Width = 16,
        hidden_dim: Width = 2048,
    ) -> None:
        super().__init__(backbone)
        self.projector = ProjectionHead([
            (backbone.features, hidden_dim, nn.BatchNorm1d(hidden_dim), nn.ReLU()),
            (hidden_dim, hidden_dim, nn.BatchNorm1d(hidden_dim), nn.ReLU()),
            (hidden_dim, projection_dim, None, None),
        ])  # fmt: skip
        self.sigreg, self.slices, self.projection_dim = sigreg, slices, projection_dim
        # Only lightly's frequencies and weights are used. Its directions come from the global generator, which differs
        # between processes.
        self.quadrature = SIGReg(knots=knots, t_max=largest_frequency, num_vectors=1)

    def project(self, features: Tensor) -> Tensor:
        """Return the projections (n, projection_dim) of features."""
        return self.projector(features)

    def step(self, batch: Batch) -> dict[str, Tensor]:
        """Return (1 - sigreg) x invariance + sigreg x SIGReg (paper, Sec. 5)."""
        # All views go through in one pass, as in the authors' code, so that they share batch norm statistics.
        features = self.backbone(torch.cat(batch.views))
        projected = self.project(features)
        with torch.autocast(features.device.type, enabled=False):
            # At least single precision, for sums over a batch.
            projections = projected.to(torch.promote_types(projected.dtype, torch.float32)).unflatten(0, (2, -1))
            invariance = lejepa_invariance_loss(all_proj=projections, global_proj=projections)
            directions = self.directions(projections.device).to(projections.dtype)
            gaussian = sliced_distance(projections, directions, self.quadrature)
            loss = (1 - self.sigreg) * invariance + self.sigreg * gaussian
        return {
            "loss": loss,
            "embedding": features[: len(batch.index)].detach(),
            "projection": projections[0].detach(),
            "invariance": invariance.detach(),
            "sigreg": gaussian.detach(),
        }

    def directions(self, device: torch.device) -> Tensor:
        """Return this batch's unit vectors (projection_dim, slices).

        The vectors are the same in every process.
        """
        row = torch.arange(self.projection_dim, device=device)
        rng = KeyedGenerator(self.seed, "train", "method/directions", row, torch.full_like(row, self.batches))
        return F.normalize(rng.normal("direction", self.slices), dim=0)


def sliced_distance(projections: Tensor, directions: Tensor, quadrature: SIGReg) -> Tensor:
    """Return SIGReg: the Epps-Pulley test of normality, averaged over directions.

    The test is the number of lenses times the integral over frequencies t of
    |phi(t) - exp(-t^2 / 2)|^2 exp(-t^2 / 2). Here phi is the characteristic function of the projections along a
    direction, over the batch of all processes (paper, Sec. 4).

    Args:
        projections: (views, n, d); each view is tested separately.
        directions: (d, slices) unit vectors.
        quadrature: Frequencies and weights.

    Returns:
        A scalar. The mean of its gradient over processes is the gradient for the whole batch.
    """
    phase = (projections @ directions).unsqueeze(-1) * quadrature.t
    real, imaginary = phase.cos().mean(1), phase.sin().mean(1)
    processes = world_size()
    if processes > 1:
        real, imaginary = (torch.distributed.nn.all_reduce(part) / processes for part in (real, imaginary))
    error = (real - quadrature.phi).square() + imaginary.square()
    return (error @ quadrature.weights).mean() * projections.shape[1] * processes
