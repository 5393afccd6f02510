"""Rings, tidal arcs and spiral arms against closed forms."""

from __future__ import annotations

import math

import pytest
import torch
from scipy.signal import find_peaks
from torch import Tensor

from lenskit_lensing.patterns import ring, spiral

torch.set_num_threads(1)

CENTER = {"center_x": 0.1, "center_y": -0.2}
RING = CENTER | {"radius": 1.2, "width": 0.15, "e1": 0.0, "e2": 0.0, "angle": 0.7, "concentration": 0.0}
SPIRAL = CENTER | {"scale": 0.5, "e1": 0.0, "e2": 0.0, "arms": 3.0, "pitch": 0.3, "angle": 0.7, "concentration": 2.0}


def tensors(values: dict[str, float]) -> dict[str, Tensor]:
    return {name: torch.tensor([value], dtype=torch.float64) for name, value in values.items()}


def around(radius: float | Tensor, azimuth: float | Tensor) -> tuple[Tensor, Tensor]:
    """Positions (1, 1, n) at polar coordinates about the centre."""
    radius, azimuth = torch.as_tensor(radius, dtype=torch.float64), torch.as_tensor(azimuth, dtype=torch.float64)
    x, y = radius * azimuth.cos() + CENTER["center_x"], radius * azimuth.sin() + CENTER["center_y"]
    return x.view(1, 1, -1), y.view(1, 1, -1)


@pytest.mark.parametrize(
    ("profile", "parameters"),
    [
        (ring, RING),
        (ring, RING | {"width": 0.9}),
        (ring, RING | {"concentration": 4.0, "e1": 0.2, "e2": -0.1}),
        (spiral, SPIRAL),
        (spiral, SPIRAL | {"e1": -0.3, "e2": 0.2, "pitch": -0.5}),
    ],
)
def test_the_flux_is_one(profile, parameters: dict[str, float]) -> None:
    axis = torch.linspace(-8, 8, 801, dtype=torch.float64)
    light = profile(axis[None, :], axis[:, None], **tensors(parameters))
    assert float(light.sum()) * 0.02**2 == pytest.approx(1, abs=2e-3)


def test_a_ring_is_brightest_at_its_radius() -> None:
    """With a Gaussian profile across: exp(-1/2) one standard deviation from there."""
    radii = torch.linspace(0.01, 3, 300, dtype=torch.float64)
    for azimuth in (0.0, 1.0, 4.0):
        light = ring(*around(radii, azimuth), **tensors(RING)).flatten()
        assert float(radii[light.argmax()]) == pytest.approx(1.2, abs=0.006)
    at = ring(*around(torch.tensor([1.2, 1.05, 1.35]), 2.0), **tensors(RING)).flatten()
    assert (at[1:] / at[0]).tolist() == pytest.approx([math.exp(-0.5)] * 2)


def test_a_ring_is_an_ellipse_of_its_axis_ratio() -> None:
    q, radii = 0.6, torch.linspace(0.01, 3, 2991, dtype=torch.float64)
    e = (1 - q) / (1 + q)
    flat = tensors(RING | {"e1": e * math.cos(0.8), "e2": e * math.sin(0.8)})
    major, minor = (radii[ring(*around(radii, a), **flat).argmax()] for a in (0.4, 0.4 + math.pi / 2))
    assert float(minor / major) == pytest.approx(q, abs=2e-3)
    assert float((minor * major).sqrt()) == pytest.approx(1.2, abs=2e-3)


def test_an_arc_fades_as_a_von_mises_distribution() -> None:
    arc = tensors(RING | {"concentration": 3.0})
    at = ring(*around(1.2, torch.tensor([0.7, 0.7 + math.pi, 0.7 + math.pi / 2])), **arc).flatten()
    assert (at[1:] / at[0]).tolist() == pytest.approx([math.exp(-6), math.exp(-3)])


@pytest.mark.parametrize("pitch", [0.2, 0.5, -0.3])
def test_arms_have_their_number_and_pitch(pitch: float) -> None:
    """An arm's azimuth grows by ln(R2 / R1) / tan(pitch) from R1 to R2."""
    azimuth = torch.arange(3600, dtype=torch.float64) * (2 * math.pi / 3600)
    for radius in (0.3, 0.5, 1.1):
        light = spiral(*around(radius, azimuth), **tensors(SPIRAL | {"pitch": pitch})).flatten()
        places, _ = find_peaks(torch.cat([light, light[:10]]).numpy())
        assert len({int(place) % 3600 for place in places}) == 3
        expected = 0.7 + math.log(radius / 0.5) / math.tan(pitch)
        turns = (azimuth[places[0] % 3600] - expected) / (2 * math.pi / 3)
        assert float(turns - turns.round()) == pytest.approx(0, abs=2e-3)
        mean = math.exp(-radius / 0.5) / (2 * math.pi * 0.5**2)
        assert float(light.mean()) == pytest.approx(mean, rel=1e-9)
