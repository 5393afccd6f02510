"""Counts of photons against scipy's Poisson distribution."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats
import torch

from lenskit_lensing.instruments.photons import FEW, RAREST, photons

torch.set_num_threads(1)

EVENLY = (torch.arange(100_000, dtype=torch.float64) + 0.5) / 100_000


@pytest.mark.parametrize("mean", [0.0, 1e-3, 0.4, 2.0, FEW, 4.1, 8.0, 12.0, 50.0, 400.0, 900.0])
def test_counts_are_quantiles(mean: float) -> None:
    normal = torch.special.ndtri(EVENLY).float()
    found = photons(torch.full_like(normal, mean), normal).double().numpy()
    expected = scipy.stats.poisson.ppf(EVENLY.numpy(), mean) if mean else np.zeros(len(EVENLY))
    wrong = np.abs(found - expected)
    assert wrong.max() <= 1
    assert wrong.mean() < (3e-5 if mean <= FEW else 2e-3)


def test_a_pixel_depends_on_its_own_mean_and_number_only() -> None:
    generator = torch.Generator().manual_seed(0)
    mean = torch.rand(500, generator=generator) ** 6 * 100
    normal = torch.randn(500, generator=generator)
    together = photons(mean, normal)
    assert torch.equal(together, torch.cat([photons(mean[i : i + 1], normal[i : i + 1]) for i in range(500)]))


def test_extremes_are_counts() -> None:
    mean, normal = torch.meshgrid(torch.tensor([0.0, 1e-30, 4, 4.0001, 1e6]), torch.tensor([-6.0, 6]), indexing="ij")
    counts = photons(mean, normal)
    assert counts.isfinite().all()
    assert (counts >= 0).all()
    assert (counts == counts.floor()).all()


@pytest.mark.parametrize("normal", [4.8, 5.0, 5.21, 5.5, 8.0])
def test_the_rarest_counts_are_the_largest_that_a_mean_has(normal: float) -> None:
    """Probabilities that float32 rounds to 1, or nearly, give no impossible counts."""
    mean = torch.cat([torch.linspace(0, FEW, 4001), torch.logspace(-9, 0, 1001)])
    found = photons(mean, torch.full_like(mean, normal)).double().numpy()
    probability = scipy.stats.norm.cdf(min(normal, RAREST))
    assert np.abs(found - np.maximum(scipy.stats.poisson.ppf(probability, mean.double().numpy()), 0)).max() <= 1
