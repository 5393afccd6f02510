"""AAE: a run equals the published training in plain torch.

The reference uses probabilities instead of logits. Runs have one process or two.
"""

from __future__ import annotations

from typing import Any

import pytest
import scipy.stats
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lenskit.config import Config
from lenskit.plugin import Batch
from lenskit.run import Run
from lenskit.training.runner import Job
from lenskit_deeplense.aae import AAE
from lenskit_deeplense.networks import DeepLenseConv

LATENT, BATCH, BATCHES = 6, 4, 5


def config(**changes: Any) -> Config:
    return Config.resolve({
        "train": {"lenses": BATCH * BATCHES, "epochs": 1, "batch_size": BATCH, "accelerator": "cpu",
                  "precision": "64-true"},
        "simulator": {"name": "blobs"},
        "method": {"name": "aae", "latent_dim": LATENT, "discriminator_dim": 8},
    }, changes)  # fmt: skip


def weights(run: Run) -> dict[str, Tensor]:
    return torch.load(run.checkpoint, weights_only=True)["state_dict"]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return Job(config()).fit(Run.create(tmp_path_factory.mktemp("aae") / "run", config()), None, False)


class Published:
    """Published training of given modules, with four optimisers and probabilities."""

    def __init__(self, encoder: nn.Module, decoder: nn.Module, discriminator: nn.Module) -> None:
        self.encoder, self.decoder = encoder, decoder
        self.discriminator = nn.Sequential(discriminator, nn.Sigmoid())
        self.for_encoder = torch.optim.Adam(encoder.parameters(), lr=1e-3)
        self.for_decoder = torch.optim.Adam(decoder.parameters(), lr=1e-3)
        self.for_discriminator = torch.optim.Adam(discriminator.parameters(), lr=1e-3)
        self.for_generator = torch.optim.Adam(encoder.parameters(), lr=1e-4)

    def learn(self, images: Tensor, prior: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        error = F.mse_loss(self.decoder(self.encoder(images)), images)
        self.step(error, self.for_encoder, self.for_decoder)
        real, fake = self.discriminator(prior), self.discriminator(self.encoder(images))
        told = -(real.log() + (1 - fake).log()).mean()
        self.step(told, self.for_discriminator)
        fooled = -self.discriminator(self.encoder(images)).log().mean()
        self.step(fooled, self.for_generator)
        return error, told, fooled

    def step(self, loss: Tensor, *optimizers: torch.optim.Optimizer) -> None:
        for optimizer in optimizers:
            optimizer.zero_grad()
        loss.backward()
        for optimizer in optimizers:
            optimizer.step()


@pytest.mark.slow
def test_a_run_is_the_published_one(run: Run) -> None:
    method = Job(config()).method
    assert isinstance(method, AAE)
    theirs = Published(nn.Sequential(method.backbone, method.to_latent), method.decoder, method.discriminator)
    source = Job(config()).training_set
    for method.batches in range(BATCHES):
        batch = source.by_index(torch.arange(BATCH * method.batches, BATCH * (method.batches + 1)))
        theirs.learn(batch.views[0].double(), method.prior(batch).double())
    for name, value in method.state_dict().items():
        torch.testing.assert_close(weights(run)[name], value, rtol=1e-8, atol=1e-11, msg=lambda text, n=name: n + text)


def test_draws_of_the_prior_are_normal_and_belong_to_lens_and_batch() -> None:
    method = AAE(DeepLenseConv(1, 16), latent_dim=50, prior_std=3.0)
    method.seed = 0

    def drawn(first: int, last: int) -> Tensor:
        return method.prior(Batch((), {}, torch.arange(first, last)))

    whole = drawn(0, 100)
    assert scipy.stats.kstest(whole.flatten().numpy() / 3, "norm").pvalue > 1e-3
    assert torch.equal(drawn(40, 100), whole[40:])
    method.batches = 1
    assert not torch.equal(drawn(0, 100), whole)


def test_a_discriminator_that_is_sure_leaves_a_gradient() -> None:
    # log(D + 1e-15) with D = e^-100 has no gradient: the encoder would never recover.
    logit = torch.tensor([[-100.0]], requires_grad=True)
    AAE._taken_for(1, logit).backward()
    assert logit.grad.item() == pytest.approx(-1.0)
