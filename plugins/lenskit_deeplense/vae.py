"""VAE: DeepLense's variational autoencoder.

The paper is Alexander et al. 2020 (https://arxiv.org/abs/2008.12731). The authors' package (unsupervised-lensing 0.1.2)
also sums the divergence over the batch. Its beta therefore equals this beta divided by the number of values of an image
and by the batch size; both defaults are 0. The package reconstructs from a random latent vector; here the mean is used.
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
    """VAE: reconstruct images from random latent vectors, by least squares.

    The loss is the mean squared error of an image's N values plus beta / N times the divergence of its latent
    distribution from a standard normal (summed over the latents, averaged over the batch). This is the beta of beta-VAE
    (https://openreview.net/forum?id=Sy2fzU9gl), whose reconstruction error is summed over the values. With beta = 1,
    the loss times N is the negative evidence lower bound for a decoder with a variance of 1/2.

    Args:
        backbone: Encoder network, whose features give the latent distribution.
        latent_dim: Length of the latent vector (paper: 1000).
        beta: Weight of the divergence (authors' package: 0, where the loss is the reconstruction error alone).
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
        """Return the mean latent vector (n, latent_dim) of features."""
        return self.mean(features)

    def step(self, batch: Batch) -> dict[str, Tensor]:
        (images,) = batch.views
        features = self.backbone(images)
        mean, log_variance = self.mean(features), self.log_variance(features)
        noise = self.rng(batch, "latent").noise("noise", mean.shape[1]).to(mean.dtype)
        error = F.mse_loss(self.decoder(mean + (log_variance / 2).exp() * noise), images)
        divergence = kl_divergence(mean, log_variance).mean()
        # With beta = 0 the divergence may be infinite, and 0 times infinity is NaN.
        loss = error + self.beta / images[0].numel() * divergence if self.beta else error
        return {
            "loss": loss,
            "reconstruction": error.detach(),
            "kl": divergence.detach(),
            "embedding": features.detach(),
        }


def kl_divergence(mean: Tensor, log_variance: Tensor) -> Tensor:
    """Return the Kullback-Leibler divergence from a standard normal, in nats.

    Args:
        mean: Means (n, d) of independent normal distributions.
        log_variance: Logarithms (n, d) of their variances.

    Returns:
        (n,), at least in single precision.
    """
    mean, log_variance = (x.to(torch.promote_types(x.dtype, torch.float32)) for x in (mean, log_variance))
    # expm1 avoids the difference of two almost equal numbers near the prior.
    return (mean.square() + log_variance.expm1() - log_variance).sum(1) / 2
