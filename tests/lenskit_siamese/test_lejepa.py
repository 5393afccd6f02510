"""LeJEPA: sliced test for a Gaussian, directions and loss."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from lightly.loss.lejepa_loss import SIGReg
from torch import Tensor, nn
from torch.nn import functional as F

from lenskit.plugin import Backbone, Batch
from lenskit_siamese.lejepa import LeJEPA, sliced_distance


class Flat(Backbone):
    """Features linear in the pixels."""

    features = 12

    def __init__(self) -> None:
        super().__init__(1, 4)
        self.layer = nn.Linear(16, self.features)

    def forward(self, images: Tensor) -> Tensor:
        return self.layer(images.flatten(1))


def lejepa(**options) -> LeJEPA:
    torch.manual_seed(0)
    method = LeJEPA(Flat(), **{"hidden_dim": 16, "projection_dim": 5, "slices": 50} | options)
    method.seed, method.batches = 3, 7
    return method


def pair(n: int = 10) -> Batch:
    views = torch.randn(2, n, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    return Batch(tuple(views), {}, torch.arange(n))


def unit(dim: int, slices: int, seed: int = 0) -> Tensor:
    return F.normalize(torch.randn(dim, slices, generator=torch.Generator().manual_seed(seed)), dim=0)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 1000), n=st.integers(2, 40), spread=st.floats(0.1, 3), offset=st.floats(-1, 1))
def test_the_distance_is_that_of_epps_and_pulley(seed: int, n: int, spread: float, offset: float) -> None:
    # The integral over all frequencies in closed form, from the Fourier transform of the normal distribution.
    projections = (spread * torch.randn(2, n, 4, generator=torch.Generator().manual_seed(seed)) + offset).double()
    directions = unit(4, 20).double()
    x = projections @ directions
    pairs = (-((x[:, :, None] - x[:, None]) ** 2) / 2).exp().mean((1, 2))
    single = (-(x**2) / 4).exp().mean(1)
    expected = n * (math.sqrt(2 * math.pi) * pairs - 2 * math.sqrt(math.pi) * single + math.sqrt(2 * math.pi / 3))
    quadrature = SIGReg(knots=401, t_max=8.0, num_vectors=1).double()
    torch.testing.assert_close(
        sliced_distance(projections, directions, quadrature), expected.mean(), rtol=1e-4, atol=1e-5
    )


def test_the_loss_is_lightlys_with_the_same_directions() -> None:
    method, batch = lejepa(sigreg=0.3), pair()
    out = method.step(batch)
    projections = method.projector(method.backbone(torch.cat(batch.views))).unflatten(0, (2, -1))
    # In one dimension lightly's random direction is 1 or -1, and the test does not depend on the sign.
    lines = [projections @ direction[:, None] for direction in method.directions(torch.device("cpu")).T]
    theirs = torch.stack([SIGReg(num_vectors=1)(line) for line in lines]).mean()
    torch.testing.assert_close(out["sigreg"], theirs.detach())
    # Each projection of a pair is half of their distance from their mean.
    z1, z2 = projections
    torch.testing.assert_close(out["invariance"], ((z1 - z2) / 2).square().mean().detach())
    torch.testing.assert_close(out["loss"].detach(), 0.7 * out["invariance"] + 0.3 * out["sigreg"])


def test_a_gaussian_is_nearer_than_what_collapsed() -> None:
    quadrature, directions = SIGReg(num_vectors=1), unit(5, 200)
    gaussian = torch.randn(1, 500, 5, generator=torch.Generator().manual_seed(1))
    line = gaussian[..., :1].expand(-1, -1, 5)
    distances = [sliced_distance(x, directions, quadrature) for x in (gaussian, line, torch.zeros(1, 500, 5))]
    assert 10 * distances[0] < distances[1] < distances[2]


def test_directions_belong_to_the_batch_and_to_nothing_else() -> None:
    method = lejepa()
    torch.manual_seed(1)
    first = method.directions(torch.device("cpu"))
    state = torch.get_rng_state()
    torch.testing.assert_close(first.norm(dim=0), torch.ones(50))
    assert torch.equal(method.directions(torch.device("cpu")), first)
    assert torch.equal(torch.get_rng_state(), state)
    method.batches += 1
    assert not torch.isclose(method.directions(torch.device("cpu")), first).any()
    # On a sphere: no direction is preferred.
    many = lejepa(slices=20000).directions(torch.device("cpu"))
    torch.testing.assert_close(many @ many.T / 20000, torch.eye(5) / 5, atol=0.01, rtol=0)


@pytest.mark.parametrize("sigreg", [0.0, 1.0])
def test_either_part_may_stand_alone(sigreg: float) -> None:
    out = lejepa(sigreg=sigreg).step(pair())
    torch.testing.assert_close(out["loss"].detach(), out["sigreg" if sigreg else "invariance"])
