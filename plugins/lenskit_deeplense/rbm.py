"""RBM: DeepLense's restricted Boltzmann machine (Alexander et al. 2020).

The paper is https://arxiv.org/abs/2008.12731; "the authors' code" is its package unsupervised-lensing 0.1.2. "Hinton"
is Hinton's practical guide to training (https://www.cs.toronto.edu/~hinton/absps/guideTR.pdf). "Cho" is the Gaussian
machine of Cho et al. 2011 (https://doi.org/10.1007/978-3-642-21735-7_2), here in the images' unit instead of units of
their noise.

Pixels v and binary hidden units h (0 or 1) have the energy E(v, h) = V(v) - h.(W v + c). Here V(v) = -b.v for Bernoulli
pixels and V(v) = |v - b|^2 / (2 sigma^2) for Gaussian pixels.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Annotated, Any, Literal

import torch
from annotated_types import Ge, Gt
from torch import Tensor, nn
from torch.nn import functional as F

from lenskit.plugin import Backbone, Batch, KeyedGenerator, Reconstructor, Scorer, UsageError, at_most
from lenskit_deeplense.hidden import RBMHidden
from lenskit_deeplense.one_cycle import OneCycle

ROUNDING = 1e-4
"""Largest distance of a Bernoulli pixel from the range 0 to 1 that is accepted as rounding."""


class RBM(OneCycle, Scorer, Reconstructor):
    """RBM: a restricted Boltzmann machine, trained by contrastive divergence.

    Training makes images more probable than samples of Gibbs chains that start from the images. The anomaly score of an
    image is the mean squared error of its reconstruction from the hidden units.

    Args:
        backbone: Hidden layer of the machine: `rbm-hidden`.
        visible: Model of the pixels: `bernoulli`, where a pixel from 0 to 1 is the probability of being bright
            (authors' code), or `gaussian`, for any real values.
        sigma: Standard deviation of Gaussian pixels about their mean given the hidden units, in the images' unit.
        k: Number of Gibbs sampling steps from an image to the sample with which it is compared (authors' code: 1).
        init_std: Standard deviation of the initial weights and biases; by default 1 for Bernoulli pixels (authors'
            code) and 0.01 for Gaussian pixels (Hinton, Sec. 8).
        reconstruction: `mean` passes the expected values from layer to layer, without random numbers. `sample` samples
            both layers, so that Bernoulli pixels become 0 or 1 (authors' code); all images get the same random numbers.

    Raises:
        UsageError: The backbone is not `rbm-hidden`, or Bernoulli pixels are not from 0 to 1.
    """

    views = 1
    judged_by = "anomaly"
    default_sections = MappingProxyType({
        "pairs": {"name": "single"},
        "backbone": {"name": "rbm-hidden"},
        # The paper's images lie between 0 and 1. Images with noise about zero do so only after a stretch.
        "input": {"stretch": "zscale", "normalise": "peak"},
    })  # fmt: skip

    backbone: RBMHidden

    def __init__(
        self,
        backbone: Backbone,
        *,
        visible: Literal["bernoulli", "gaussian"] = "bernoulli",
        sigma: Annotated[float, Gt(0)] = 1.0,
        k: Annotated[int, Ge(1), at_most(10**6)] = 1,
        init_std: Annotated[float, Ge(0)] | None = None,
        reconstruction: Literal["mean", "sample"] = "mean",
        **options: Any,
    ) -> None:
        if not isinstance(backbone, RBMHidden):
            raise UsageError("method 'rbm' learns the weights of its own hidden layer: use --backbone rbm-hidden")
        super().__init__(backbone, **options)
        self.gaussian, self.sigma, self.k = visible == "gaussian", sigma, k
        self.samples = reconstruction == "sample"
        self.bias = nn.Parameter(torch.zeros(backbone.visible))
        std = init_std if init_std is not None else 0.01 if self.gaussian else 1.0
        for parameter in self.parameters():
            nn.init.normal_(parameter, std=std)

    def step(self, batch: Batch) -> dict[str, Tensor]:
        """Return the difference of the free energies of images and samples (CD-k)."""
        v = batch.views[0].flatten(1)
        # Half precision is too coarse for differences of large numbers.
        with torch.autocast(v.device.type, enabled=False):
            v = v.to(self.bias.dtype)
            with torch.no_grad():
                inputs = self.backbone.layer(v)
                features = inputs.sigmoid()
                rng = self.rng(batch, "gibbs")
                sampled = self.draw(features, rng)
                for step in range(1, self.k):
                    sampled = self.draw(self.hidden(sampled), rng, f"{step}/")
                both = torch.cat([v, sampled])
                hidden_inputs = torch.cat([inputs, self.backbone.layer(sampled)])
            # One pass for both halves makes a single gradient matrix of the weights, instead of two and their sum.
            inputs = Known.apply(both, hidden_inputs, self.backbone.layer.weight, self.backbone.layer.bias)
            energy, of_sampled = self._free_energy(both, inputs).chunk(2)
            loss = (energy - of_sampled).mean()
        return {"loss": loss, "embedding": features}

    def free_energy(self, v: Tensor) -> Tensor:
        """Return F(v) = -log sum_h exp(-E(v, h)), (n,), of pixels (n, visible)."""
        return self._free_energy(v, self.backbone.layer(v))

    def _free_energy(self, v: Tensor, inputs: Tensor) -> Tensor:
        """Return the free energy, given the inputs (n, hidden) of the hidden units."""
        visible = (v - self.bias).square().sum(1) / (2 * self.sigma**2) if self.gaussian else -(v @ self.bias)
        return visible - F.softplus(inputs).sum(1)

    def hidden(self, v: Tensor) -> Tensor:
        """Return the hidden units' probabilities (n, hidden), given pixels (n, visible)."""
        return self.backbone(v)

    def pixels(self, h: Tensor) -> Tensor:
        """Return the pixels' means (n, visible), given hidden units (n, hidden)."""
        if self.gaussian:
            return self.bias + self.sigma**2 * (h @ self.backbone.layer.weight)
        return (self.bias + h @ self.backbone.layer.weight).sigmoid()

    def draw(self, hidden: Tensor, rng: KeyedGenerator, names: str = "") -> Tensor:
        """Sample hidden units, and then pixels (n, visible) given these hidden units.

        Args:
            hidden: Probabilities (n, hidden) of the hidden units.
            rng: Generator for n images, or for one image. In the latter case, all images share the random numbers.
            names: Prefix of the names of the random numbers.
        """
        # Normal instead of uniform numbers, because they are several times cheaper.
        on = torch.special.ndtr(rng.noise(f"{names}hidden", self.backbone.features)) < hidden
        means, noise = self.pixels(on.to(hidden.dtype)), rng.noise(f"{names}visible", self.backbone.visible)
        if self.gaussian:
            return means + self.sigma * noise.to(means.dtype)
        return (torch.special.ndtr(noise) < means).to(means.dtype)

    @torch.no_grad()
    def reconstruct(self, images: Tensor) -> Tensor:
        if len(images):
            self.check_range(float(images.min()), float(images.max()))
        hidden = self.hidden(images.flatten(1))
        if not self.samples:
            return self.pixels(hidden).reshape(images.shape)
        one = torch.zeros(1, dtype=torch.int64, device=images.device)
        return self.draw(hidden, KeyedGenerator(0, "score", "method/gibbs", one, one)).reshape(images.shape)

    @torch.no_grad()
    def score(self, images: Tensor) -> Tensor:
        return (self.reconstruct(images) - images).square().flatten(1).mean(1)

    def check_range(self, low: float, high: float) -> None:
        if self.gaussian:
            return
        if low >= -ROUNDING and high <= 1 + ROUNDING:
            return
        remedy = "method.visible=gaussian takes any values"
        remedy += (
            ", and input.stretch=zscale sets low values such as noise to 0" if low < -ROUNDING
            else ", and input.normalise=peak makes the largest value 1"
        )  # fmt: skip
        raise UsageError(
            f"method 'rbm' takes pixels from 0 to 1 as probabilities, but these go from {low:.3g} to {high:.3g}: train "
            f"it with other --set options ({remedy})"
        )


class Known(torch.autograd.Function):
    """Linear layer whose outputs are already known.

    `apply(x, outputs, weight, bias)` returns the outputs, with gradients for the weight and the bias.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, outputs: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return outputs.view_as(outputs)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        (x,) = ctx.saved_tensors
        # Subnormal numbers, which a sigmoid near 0 returns, make the product three times slower on a CPU.
        gradient = gradient.masked_fill(gradient.abs() < torch.finfo(gradient.dtype).tiny, 0)
        return None, None, gradient.mT @ x, gradient.sum(0)
