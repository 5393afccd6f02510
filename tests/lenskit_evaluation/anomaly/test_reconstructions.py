"""Reconstruction errors, against SciPy and NumPy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import wasserstein_distance

from lenskit_evaluation.anomaly.reconstructions import errors, mean_squared_error, wasserstein


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 4), st.integers(1, 3), st.integers(1, 17), st.integers(1, 19), st.integers(0, 2**32))
def test_w1_is_scipys_of_the_column_sums(n, channels, height, width, seed):
    rng = torch.Generator().manual_seed(seed)
    images, made = (torch.rand(n, channels, height, width, generator=rng) for _ in range(2))
    expected = [
        wasserstein_distance(a.double().sum(-2).flatten(), b.double().sum(-2).flatten())
        for a, b in zip(images, made, strict=True)
    ]
    assert wasserstein(images, made).numpy() == pytest.approx(expected, abs=1e-12)


def test_w1_does_not_see_where_a_column_is():
    image = torch.rand(1, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    assert float(wasserstein(image, image.flip(-1))) == 0 < float(wasserstein(image, image.mT))


def test_the_squared_error_is_numpys():
    a, b = np.random.default_rng(0).random((2, 5, 1, 7, 9))
    found = mean_squared_error(torch.from_numpy(a), torch.from_numpy(b)).numpy()
    assert found == pytest.approx(((a - b) ** 2).mean((1, 2, 3)), rel=1e-13)


def test_a_perfect_reconstruction_has_no_errors():
    images = torch.rand(3, 1, 6, 6)
    assert {name: value.tolist() for name, value in errors(images, images).items()} == {"MSE": [0] * 3, "W1": [0] * 3}
