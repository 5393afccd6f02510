"""VAE: divergence, loss, and random numbers that belong to lens and batch."""

from __future__ import annotations

import pytest
import scipy.stats
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.distributions import Normal
from torch.distributions import kl_divergence as kl_of

from lenskit.plugin import Batch
from lenskit_deeplense.networks import DeepLenseConv
from lenskit_deeplense.vae import VAE, kl_divergence

SIZE, LATENT = 20, 6


def vae(**options: float) -> VAE:
    torch.manual_seed(0)
    method = VAE(DeepLenseConv(1, SIZE), latent_dim=LATENT, **options)
    method.seed = 0
    return method


def images(n: int = 4) -> Batch:
    pixels = torch.rand(n, 1, SIZE, SIZE, generator=torch.Generator().manual_seed(1))
    return Batch((pixels,), {}, torch.arange(n))


def drawn(method: VAE, batch: Batch) -> tuple[dict[str, Tensor], Tensor]:
    """Return the outputs of a step, and its random latent vectors."""
    latents: list[Tensor] = []
    hook = method.decoder.register_forward_pre_hook(lambda _, given: latents.append(given[0].detach()))
    outputs = method.step(batch)
    hook.remove()
    (latent,) = latents
    return outputs, latent


@given(st.lists(st.tuples(st.floats(-30, 30), st.floats(-20, 10)), min_size=1, max_size=5))
def test_the_divergence_is_that_of_torch(latents: list[tuple[float, float]]) -> None:
    mean, log_variance = torch.tensor(latents, dtype=torch.float64).T
    expected = kl_of(Normal(mean, (log_variance / 2).exp()), Normal(0.0, 1.0)).sum()
    torch.testing.assert_close(kl_divergence(mean[None], log_variance[None])[0], expected, rtol=1e-9, atol=1e-12)


def test_near_the_prior_the_divergence_is_precise() -> None:
    # mean^2 / 2 + log_variance^2 / 4, to lowest order.
    found = kl_divergence(torch.tensor([[1e-3]]), torch.tensor([[1e-3]]))
    assert found.item() == pytest.approx(0.75e-6, rel=1e-2)


@pytest.mark.parametrize("beta", [0.0, 1.0, 4.0])
def test_the_loss_is_a_bound_of_the_evidence_divided_by_the_pixels(beta: float) -> None:
    method, batch = vae(beta=beta), images()
    pixels = batch.views[0]
    outputs, latent = drawn(method, batch)
    with torch.no_grad():
        features = method.backbone(pixels)
        posterior = Normal(method.mean(features), (method.log_variance(features) / 2).exp())
        kl = kl_of(posterior, Normal(0.0, 1.0)).sum(1).mean()
        # Up to a constant, -log p(x | z) with a variance of 1/2 is the sum of the squares.
        likelihood = Normal(method.decoder(latent), 0.5**0.5)
        nothing = Normal(pixels, 0.5**0.5).log_prob(pixels)
        error = -(likelihood.log_prob(pixels) - nothing).flatten(1).sum(1).mean()
    assert outputs["kl"].item() == pytest.approx(kl.item(), rel=1e-5)
    assert outputs["reconstruction"].item() * SIZE**2 == pytest.approx(error.item(), rel=1e-4)
    assert outputs["loss"].item() * SIZE**2 == pytest.approx((error + beta * kl).item(), rel=1e-4)


@pytest.mark.slow
def test_latents_are_drawn_from_what_the_heads_say() -> None:
    method, batch = vae(), images(400)
    with torch.no_grad():
        method.log_variance.bias += 1.0
        _, latent = drawn(method, batch)
        features = method.backbone(batch.views[0])
        noise = (latent - method.project(features)) / (method.log_variance(features) / 2).exp()
    assert scipy.stats.kstest(noise.flatten().numpy(), "norm").pvalue > 1e-3
    assert not torch.equal(noise[0], noise[1])


def test_what_is_drawn_belongs_to_lens_and_batch() -> None:
    method, batch = vae(), images()
    state = torch.get_rng_state()
    whole = drawn(method, batch)[1]
    part = drawn(method, Batch((batch.views[0][2:],), {}, batch.index[2:]))[1]
    torch.testing.assert_close(part, whole[2:])
    assert torch.equal(torch.get_rng_state(), state)
    method.batches = 1
    assert not torch.allclose(drawn(method, batch)[1], whole)


def test_without_beta_a_divergence_of_infinity_is_nothing() -> None:
    method = vae()
    with torch.no_grad():
        method.log_variance.bias[0] = -torch.inf
    outputs = method.step(images())
    assert outputs["kl"].isinf()
    assert outputs["loss"].isfinite()


def test_images_are_made_anew_of_the_mean() -> None:
    method = vae().eval()
    pixels = images().views[0]
    with torch.no_grad():
        assert torch.equal(method.reconstruct(pixels), method.decoder(method.mean(method.backbone(pixels))))
