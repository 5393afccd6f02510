"""VAE, DeepLense's variational autoencoder (Alexander et al. 2020, https://arxiv.org/abs/2008.12731).

The authors' package (unsupervised-lensing 0.1.2) sums the divergence over the batch, too, so that its beta is ours
divided by the number of an image's values and by that of a batch's images; its default is 0 as ours is. It draws the
latents of a reconstruction, where ours has the mean.
"""

from __future__ import annotations

from typing import Annotated, Any

import torch
from annotated_types import Ge, Gt
from torch import Tensor, nn
from torch.nn import functional as F

from lenskit.plugin import Backbone, Batch, at_most
from lenskit_deeplense.autoencoder import Autoencoder
from lenskit_deeplense.networks import Decoder
from lenskit_deeplense.one_cycle import OneCycle


class VAE(OneCycle, Autoencoder):
    """VAE: images through a latent vector with noise of its own, and back, by least squares.

    The loss is the mean squared error of an image's N values, plus beta / N times the divergence of its latents from a
    standard normal (summed over the latents, mean over the batch). So beta is that of beta-VAE
    (https://openreview.net/forum?id=Sy2fzU9gl), whose reconstruction error is summed over the values: with 1, the loss
    times N is the negative evidence bound of a decoder with a variance of 1/2.

    Args:
        backbone: Network whose features an image is made anew from.
        latent_dim: Length of the latent vector (paper: 1000).
        beta: Weight of the divergence (authors' package: 0, with which nothing but the error is learned from).
    """

    def __init__(
        self,
        backbone: Backbone,
        *,
        latent_dim: Annotated[int, Gt(0), at_most(10**6)] = 1000,
        beta: Annotated[float, Ge(0)] = 0.0,
        **options: Any,
    ) -> None:
        super().__init__(backbone, **options)
        self.beta = beta
        self.mean = nn.Linear(backbone.features, latent_dim)
        self.log_variance = nn.Linear(backbone.features, latent_dim)
        self.decoder = Decoder(latent_dim, backbone.channels, backbone.size)

    def project(self, features: Tensor) -> Tensor:
        """The mean of the latents."""
        return self.mean(features)

    def step(self, batch: Batch) -> dict[str, Tensor]:
        (images,) = batch.views
        features = self.backbone(images)
        mean, log_variance = self.mean(features), self.log_variance(features)
        noise = self.rng(batch, "latent").noise("noise", mean.shape[1]).to(mean.dtype)
        error = F.mse_loss(self.decoder(mean + (log_variance / 2).exp() * noise), images)
        divergence = kl_divergence(mean, log_variance).mean()
        # A divergence of infinity, which a beta of 0 allows, would not be 0 times anything.
        loss = error + self.beta / images[0].numel() * divergence if self.beta else error
        return {
            "loss": loss,
            "reconstruction": error.detach(),
            "kl": divergence.detach(),
            "embedding": features.detach(),
        }


def kl_divergence(mean: Tensor, log_variance: Tensor) -> Tensor:
    """The Kullback-Leibler divergence from a standard normal, in nats.

    Args:
        mean: (n, d).
        log_variance: (n, d), of independent normals.

    Returns:
        (n,), in single precision at least.
    """
    mean, log_variance = (x.to(torch.promote_types(x.dtype, torch.float32)) for x in (mean, log_variance))
    # expm1: near the prior the difference of two large parts would be left.
    return (mean.square() + log_variance.expm1() - log_variance).sum(1) / 2
