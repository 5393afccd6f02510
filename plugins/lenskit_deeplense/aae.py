"""AAE: DeepLense's adversarial autoencoder.

The paper is Alexander et al. 2020 (https://arxiv.org/abs/2008.12731); the idea is from Makhzani et al. 2015
(https://arxiv.org/abs/1511.05644). Each batch has three steps with an Adam optimiser each, as in the authors' package
(unsupervised-lensing 0.1.2). First, encoder and decoder learn to reconstruct the images. Second, a discriminator learns
to distinguish latent vectors from samples of the prior. Third, the encoder learns to make latent vectors that the
discriminator classifies as samples of the prior.

There are three differences from the package, which change no published number:
- The logarithm of the discriminator's probability is computed from its logit. The package adds 1e-15 to the
  probability, so that the gradient vanishes where it is needed most.
- Images are encoded once for the last two steps, because the encoder does not change between them.
- The number of samples of the prior is the batch size (in the package always 100).
"""

from __future__ import annotations

from typing import Annotated, Any

import torch
from annotated_types import Gt
from torch import Tensor, nn
from torch.nn import functional as F

from lenskit.plugin import Backbone, Batch, at_most
from lenskit_deeplense.autoencoder import Autoencoder
from lenskit_deeplense.networks import Decoder

Positive = Annotated[float, Gt(0)]
Width = Annotated[int, Gt(0), at_most(10**6)]


class AAE(Autoencoder):
    """AAE: reconstruct images from latent vectors that resemble samples of a prior.

    A discriminator learns to distinguish latent vectors from samples of the prior. The encoder learns to prevent this.

    Args:
        backbone: Encoder network, whose features give the latent vector.
        latent_dim: Length of the latent vector (paper: 1000).
        prior_std: Standard deviation of the prior, a normal distribution of independent latents (paper: 5).
        discriminator_dim: Width of the discriminator's two hidden layers (paper: 256).
        lr: Learning rate of encoder and decoder, constant and independent of the batch size (authors' package: 1e-3).
        discriminator_lr: Learning rate of the discriminator (authors' package: 1e-3).
        generator_lr: Learning rate of the encoder in the step against the discriminator (authors' package: 1e-4).
    """

    # Each of the three steps has gradients for only some of the weights.
    unused_parameters = True

    def __init__(
        self,
        backbone: Backbone,
        *,
        latent_dim: Width = 1000,
        prior_std: Positive = 5.0,
        discriminator_dim: Width = 256,
        lr: Positive = 1e-3,
        discriminator_lr: Positive = 1e-3,
        generator_lr: Positive = 1e-4,
    ) -> None:
        super().__init__(backbone)
        self.automatic_optimization = False
        self.prior_std = prior_std
        self.rates = (lr, discriminator_lr, generator_lr)
        self.to_latent = nn.Linear(backbone.features, latent_dim)
        self.decoder = Decoder(latent_dim, backbone.channels, backbone.size)
        self.discriminator = nn.Sequential(
            nn.Linear(latent_dim, discriminator_dim),
            nn.ReLU(),
            nn.Linear(discriminator_dim, discriminator_dim),
            nn.ReLU(),
            nn.Linear(discriminator_dim, 1),
        )

    def project(self, features: Tensor) -> Tensor:
        return self.to_latent(features)

    def step(self, batch: Batch) -> dict[str, Tensor]:
        (images,) = batch.views
        optimizers: Any = self.optimizers()
        reconstruction, discriminator, generator = optimizers

        loss = F.mse_loss(self.decoder(self.project(self.backbone(images))), images)
        self._step(reconstruction, loss)

        features = self.backbone(images)
        latent = self.project(features)
        prior = self.prior(batch).to(latent.dtype)
        told = self._taken_for(1, self.discriminator(prior)) + self._taken_for(0, self.discriminator(latent.detach()))
        self._step(discriminator, told)

        fooled = self._taken_for(1, self.discriminator(latent))
        self._step(generator, fooled)
        return {
            "loss": loss.detach(),
            "discriminator": told.detach(),
            "generator": fooled.detach(),
            "embedding": features.detach(),
        }

    def prior(self, batch: Batch) -> Tensor:
        """Sample latent vectors (n, latent_dim) from the prior, one for each lens."""
        return self.prior_std * self.rng(batch, "prior").noise("latent", self.to_latent.out_features)

    def _step(self, optimizer: Any, loss: Tensor) -> None:
        optimizer.zero_grad()
        self.manual_backward(loss)
        optimizer.step()

    @staticmethod
    def _taken_for(real: int, logit: Tensor) -> Tensor:
        """Return the mean of -log D (`real` = 1) or -log(1 - D) (`real` = 0)."""
        return F.binary_cross_entropy_with_logits(logit, torch.full_like(logit, real))

    def configure_optimizers(self) -> Any:
        encoder = [*self.backbone.parameters(), *self.to_latent.parameters()]
        weights = ([*encoder, *self.decoder.parameters()], self.discriminator.parameters(), encoder)
        return [
            torch.optim.Adam([{"params": [*part], "lr": lr, "constant_lr": True}], fused=True)
            for part, lr in zip(weights, self.rates, strict=True)
        ]
