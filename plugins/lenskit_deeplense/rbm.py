"""DeepLense's restricted Boltzmann machine (Alexander et al. 2020, https://arxiv.org/abs/2008.12731).

"The authors' code" is their package unsupervised-lensing 0.1.2; "Hinton" his practical guide to training these
(https://www.cs.toronto.edu/~hinton/absps/guideTR.pdf), "Cho" the Gaussian one of Cho et al. 2011
(https://doi.org/10.1007/978-3-642-21735-7_2), here in units of the images instead of their noise.

Pixels v and hidden units h of 0 and 1 have the energy E(v, h) = V(v) - h.(W v + c), with V(v) = -b.v for Bernoulli
pixels and V(v) = |v - b|^2 / (2 sigma^2) for Gaussian ones.
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
"""How far beyond 0 and 1 a Bernoulli pixel may be."""


class RBM(OneCycle, Scorer, Reconstructor):
    """An RBM, by contrastive divergence: images shall be likelier than what a few steps of sampling make of them.

    The score of an image is the mean squared error of its reconstruction by way of the hidden units.

    Args:
        backbone: Its hidden layer: `rbm-hidden`.
        visible: What pixels are: `bernoulli`, the probability of being bright, from 0 to 1 (authors' code); or
            `gaussian`, any real values.
        sigma: Standard deviation of Gaussian pixels about what the hidden units say, in the images' unit.
        k: Steps of sampling, there and back, that make the image to compare with (authors' code: 1).
        init_std: Standard deviation of all weights and biases at the start; if not given, 1 for Bernoulli pixels
            (authors' code) and 0.01 for Gaussian ones (Hinton, Sec. 8).
        reconstruction: `mean`, without chance: each layer says how likely the other is; or `sample`: both layers are
            drawn, so that Bernoulli pixels come out as 0 or 1 (authors' code). The draws are the same for each image.

    Raises:
        UsageError: The backbone is another, or Bernoulli pixels are not from 0 to 1.
    """

    views = 1
    judged_by = "anomaly"
    default_sections = MappingProxyType({
        "pairs": {"name": "single"},
        "backbone": {"name": "rbm-hidden"},
        # The paper's images are from 0 to 1 as they are. Those with noise about zero are not, until they are stretched.
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
        """The difference of the free energies of the images and of what sampling makes of them (CD-k)."""
        v = batch.views[0].flatten(1)
        # These are differences of large numbers, which half precision has not.
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
            # The gradients of both at once: a matrix of all weights is made, instead of two and their sum.
            inputs = Known.apply(both, hidden_inputs, self.backbone.layer.weight, self.backbone.layer.bias)
            energy, of_sampled = self._free_energy(both, inputs).chunk(2)
            loss = (energy - of_sampled).mean()
        return {"loss": loss, "embedding": features}

    def free_energy(self, v: Tensor) -> Tensor:
        """F(v) = -log sum_h exp(-E(v, h)) of pixels (n, visible): (n,)."""
        return self._free_energy(v, self.backbone.layer(v))

    def _free_energy(self, v: Tensor, inputs: Tensor) -> Tensor:
        """The same, given what goes into the hidden units (n, hidden)."""
        visible = (v - self.bias).square().sum(1) / (2 * self.sigma**2) if self.gaussian else -(v @ self.bias)
        return visible - F.softplus(inputs).sum(1)

    def hidden(self, v: Tensor) -> Tensor:
        """The probabilities (n, hidden) of the hidden units, given pixels (n, visible)."""
        return self.backbone(v)

    def pixels(self, h: Tensor) -> Tensor:
        """The means (n, visible) of the pixels, given hidden units (n, hidden)."""
        if self.gaussian:
            return self.bias + self.sigma**2 * (h @ self.backbone.layer.weight)
        return (self.bias + h @ self.backbone.layer.weight).sigmoid()

    def draw(self, hidden: Tensor, rng: KeyedGenerator, names: str = "") -> Tensor:
        """Pixels (n, visible), drawn given hidden units that are drawn themselves.

        Args:
            hidden: Probabilities (n, hidden) of the hidden units.
            rng: Numbers of n images, or of one that serve all.
            names: What the names of these numbers begin with.
        """
        # Noise rather than uniform numbers, because it is several times cheaper.
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
            ", and input.stretch=zscale cuts off what is below, such as noise" if low < -ROUNDING
            else ", and input.normalise=peak makes the largest one"
        )  # fmt: skip
        raise UsageError(
            f"method 'rbm' takes pixels from 0 to 1 as probabilities, and these go from {low:.3g} to {high:.3g}: train "
            f"it with other --set options ({remedy})"
        )


class Known(torch.autograd.Function):
    """A linear layer whose outputs are known already: `apply(x, outputs, weight, bias)` are the outputs, with the
    gradients of its weights."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, outputs: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return outputs.view_as(outputs)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        (x,) = ctx.saved_tensors
        # Subnormal numbers, as a sigmoid near 0 gives, make the product three times slower on a CPU.
        gradient = gradient.masked_fill(gradient.abs() < torch.finfo(gradient.dtype).tiny, 0)
        return None, None, gradient.mT @ x, gradient.sum(0)
