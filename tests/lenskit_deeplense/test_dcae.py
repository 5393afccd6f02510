"""DCAE: a run equals the paper's network in plain torch, with torch's scheduler."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from lenskit.config import Config
from lenskit.run import Run
from lenskit.training.runner import Job
from lenskit_deeplense.dcae import DCAE
from lenskit_deeplense.networks import DeepLenseConv


def published(size_of_map: int, latent_dim: int, strides: tuple[int, int], last: tuple[int, int]) -> nn.Module:
    """Return the paper's network; `last`: the last layer's kernel and output padding."""
    features = 64 * size_of_map**2
    first, second = strides
    return nn.Sequential(
        nn.Conv2d(1, 16, 7, first, padding=1), nn.ReLU(),
        nn.Conv2d(16, 32, 7, second, padding=1), nn.ReLU(),
        nn.Conv2d(32, 64, 7), nn.Flatten(),
        nn.Linear(features, latent_dim), nn.BatchNorm1d(latent_dim), nn.Linear(latent_dim, features),
        nn.Unflatten(1, (64, size_of_map, size_of_map)),
        nn.ConvTranspose2d(64, 32, 7), nn.ReLU(),
        nn.ConvTranspose2d(32, 16, 7, second, padding=1, output_padding=second - 1), nn.ReLU(),
        nn.ConvTranspose2d(16, 1, last[0], first, padding=1, output_padding=last[1]), nn.Tanh(),
    )  # fmt: skip


def copy(state: dict[str, torch.Tensor], into: nn.Module) -> None:
    """Copy weights in their order; ignore their names."""
    into.load_state_dict(dict(zip(into.state_dict(), state.values(), strict=True)))


def test_it_is_the_papers_network() -> None:
    method, theirs = DCAE(DeepLenseConv(1, 150, last_relu=False)), published(9, 1000, (3, 3), (6, 2))
    copy(method.state_dict(), theirs)
    images = torch.rand(2, 1, 150, 150, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(method.eval().reconstruct(images), theirs.eval()(images))


@pytest.mark.slow
def test_a_run_is_that_of_plain_torch(tmp_path: Path) -> None:
    # For 16 pixels, the layers have strides of 1.
    config = Config.resolve({
        "train": {"lenses": 16, "epochs": 3, "batch_size": 4, "accelerator": "cpu", "precision": "64-true"},
        "simulator": {"name": "blobs"},
        "method": {"name": "dcae", "latent_dim": 4},
    })  # fmt: skip
    job = Job(config)
    theirs = published(2, 4, (1, 1), (7, 0)).double()
    copy(job.method.state_dict(), theirs)
    optimizer = torch.optim.Adam(theirs.parameters(), lr=2e-3, weight_decay=1e-5)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, epochs=3, steps_per_epoch=4)
    for batch in range(12):
        images = job.training_set.by_index(torch.arange(4 * batch, 4 * (batch + 1))).views[0].double()
        optimizer.zero_grad()
        F.mse_loss(theirs(images), images).backward()
        optimizer.step()
        if batch < 11:
            scheduler.step()

    run = job.fit(Run.create(tmp_path / "run", config), None, False)
    ours = torch.load(run.checkpoint, weights_only=True)["state_dict"]
    for (name, value), other in zip(ours.items(), theirs.state_dict().values(), strict=True):
        torch.testing.assert_close(value, other, rtol=1e-8, atol=1e-11, msg=lambda text, n=name: n + text)
