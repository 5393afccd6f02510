"""Images rotated by shears: positions and noise."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from lenskit_lensing.render.turned import frame_for, framed, turned

PIXELS = 40


def gaussian(x: float, y: float, size: int = PIXELS) -> Tensor:
    """Gaussian with a sigma of 2 pixels at an offset from the middle, (1, size, size)."""
    axis = torch.arange(size, dtype=torch.float64) - (size - 1) / 2
    return (-((axis - x).square() + (axis[:, None] - y).square()) / 8).exp()[None]


@settings(deadline=None, max_examples=25)
@given(
    angle=st.floats(-math.pi / 4, math.pi / 4),
    place=st.tuples(st.floats(-8, 8), st.floats(-8, 8)),
    shift=st.tuples(st.floats(-3, 3), st.floats(-3, 3)),
)
def test_a_star_goes_where_the_turn_and_the_shift_take_it(
    angle: float, place: tuple[float, float], shift: tuple[float, float]
) -> None:
    (x, y), (dx, dy) = place, shift
    there = gaussian(math.cos(angle) * x - math.sin(angle) * y + dx, math.sin(angle) * x + math.cos(angle) * y + dy)
    number = [torch.tensor([value], dtype=torch.float64) for value in (angle, dx, dy)]
    result = turned(gaussian(x, y, frame_for(PIXELS)), *number, PIXELS)
    assert (result - there).abs().max() < 1e-3


@pytest.mark.slow
def test_noise_stays_white_and_as_strong() -> None:
    size, count = frame_for(PIXELS), 400
    noise = torch.randn(count, size, size, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    angle = torch.linspace(-math.pi / 4, math.pi / 4, count, dtype=torch.float64)
    offset = torch.linspace(0, 1, count, dtype=torch.float64)
    result = turned(noise, angle, offset, -offset, PIXELS)
    assert result.square().mean() == pytest.approx(1, abs=0.01)
    for shifted in (result[:, 1:] * result[:, :-1], result[:, :, 1:] * result[:, :, :-1]):
        assert shifted.mean().abs() < 0.01


@pytest.mark.parametrize("pixels", [16, 47, 48, 101, 110])
def test_the_frame_holds_the_diagonal_and_has_the_image_in_its_middle(pixels: int) -> None:
    size = frame_for(pixels)
    assert size >= math.sqrt(2) * pixels
    assert (size - pixels) % 2 == 0
    image = gaussian(1, -2, pixels)
    assert torch.equal(framed(framed(image, size), pixels), image)
