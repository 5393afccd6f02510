"""DCAE: DeepLense's deep convolutional autoencoder.

The paper is Alexander et al. 2020 (https://arxiv.org/abs/2008.12731). The authors' package (unsupervised-lensing 0.1.2)
scores images with batch norm in training mode, so that a score depends on the other images of its batch. Here, batch
norm uses running statistics from training.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Annotated, Any

from annotated_types import Gt
from torch import Tensor, nn
from torch.nn import functional as F

from lenskit.plugin import Backbone, Batch, at_most
from lenskit_deeplense.autoencoder import INPUT, SINGLE, Autoencoder
from lenskit_deeplense.networks import Decoder
from lenskit_deeplense.one_cycle import OneCycle


class DCAE(OneCycle, Autoencoder):
    """DCAE: reconstruct images through a narrow layer, by least squares.

    Args:
        backbone: Encoder network, whose features give the latent vector.
        latent_dim: Length of the latent vector between encoder and decoder (paper: 1000).
    """

    default_sections = MappingProxyType(
        {"pairs": SINGLE, "backbone": MappingProxyType({"name": "deeplense-conv", "last_relu": False}), "input": INPUT}
    )

    def __init__(
        self, backbone: Backbone, *, latent_dim: Annotated[int, Gt(0), at_most(10**6)] = 1000, **options: Any
    ) -> None:
        super().__init__(backbone, **options)
        self.to_latent = nn.Sequential(nn.Linear(backbone.features, latent_dim), nn.BatchNorm1d(latent_dim))
        self.decoder = Decoder(latent_dim, backbone.channels, backbone.size)

    def project(self, features: Tensor) -> Tensor:
        return self.to_latent(features)

    def step(self, batch: Batch) -> dict[str, Tensor]:
        (images,) = batch.views
        features = self.backbone(images)
        loss = F.mse_loss(self.decoder(self.project(features)), images)
        return {"loss": loss, "embedding": features.detach()}
