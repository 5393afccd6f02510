"""Shapelets: equal to lenstronomy's, and orthonormal."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from lenstronomy.LightModel.Profiles.shapelets import ShapeletSet

from lenskit_deeplense.refit.shapelets import count, orders, shapelets


@pytest.mark.parametrize("order", [0, 1, 5, 12])
def test_values_are_lenstronomys(order: int) -> None:
    generator = torch.Generator().manual_seed(order)
    x, y = torch.randn(2, 2, 6, 7, dtype=torch.float64, generator=generator)
    scale = torch.tensor([0.3, 0.8], dtype=torch.float64)
    amplitudes = torch.randn(2, count(order), dtype=torch.float64, generator=generator)
    found = (amplitudes[:, :, None, None] * shapelets(x, y, scale, order)).sum(1)
    for i in range(2):
        expected = ShapeletSet().function(
            x[i].flatten().numpy(), y[i].flatten().numpy(), amplitudes[i].numpy(), order, float(scale[i])
        )
        np.testing.assert_allclose(found[i].flatten().numpy(), expected, rtol=0, atol=1e-9)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 8), st.floats(0.5, 2))
def test_they_are_orthonormal(order: int, scale: float) -> None:
    axis = torch.linspace(-16, 16, 257, dtype=torch.float64)
    x, y = torch.meshgrid(axis, axis, indexing="xy")
    found = shapelets(x[None], y[None], torch.tensor([scale], dtype=torch.float64), order)[0].flatten(1)
    gram = found @ found.T * (axis[1] - axis[0]) ** 2 / scale**2
    torch.testing.assert_close(gram, torch.eye(count(order), dtype=torch.float64), rtol=0, atol=1e-6)


def test_orders_are_counted() -> None:
    assert orders(2) == [0, 1, 1, 2, 2, 2]
    assert len(orders(10)) == count(10) == 66
